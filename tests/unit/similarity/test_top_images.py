import numpy as np
import pytest
import torch

from lightning_dissect.similarity import top_images
from lightning_dissect.similarity.top_images import limited_top_k, top_rows
from lightning_dissect.top_positions import top_positions


@pytest.mark.parametrize("max_bytes", [1, 2**20])
def test_ties_and_negative_values(max_bytes):
    activations = torch.tensor([[-1.0, 2.0, 0.0], [-1.0, 2.0, 5.0], [-3.0, 2.0, -5.0], [-0.5, 2.0, 0.0]])
    rows = top_rows(activations, 3, max_bytes, torch.arange(3))
    assert rows.tolist() == [[3, 0, 1], [0, 1, 2], [1, 0, 3]]
    assert top_rows(activations, 3, max_bytes, torch.tensor([2, 0])).tolist() == [[1, 0, 3], [3, 0, 1]]


@pytest.mark.parametrize(("top_k", "images", "expected"), [(100, 100, 100), (100, 99, 9), (28, 20, 2), (3, 3, 3)])
def test_limited_top_k(top_k, images, expected):
    assert limited_top_k(top_k, images) == expected


def test_limited_top_k_refuses_a_tiny_probe():
    with pytest.raises(ValueError, match="Use a larger probe or a smaller `top_k`"):
        limited_top_k(4, 3)


@pytest.mark.parametrize("count", [1, 7, 30])
def test_equals_a_stable_sort_with_many_ties(count):
    generator = torch.Generator().manual_seed(0)
    for values in (torch.randint(-2, 3, (30, 50), generator=generator).float(), torch.zeros(30, 2)):
        expected = values.T.sort(dim=1, descending=True, stable=True).indices[:, :count]
        assert torch.equal(top_rows(values, count, 2**20, torch.arange(values.shape[1])), expected)


def sieved(images=4096 + 13, neurons=70):
    """Return activations of which some are sparse, tied, sorted or constant, so that a sample misleads."""
    generator = torch.Generator().manual_seed(1)
    activations = torch.randn(images, neurons, generator=generator)
    activations[:, 3] = activations[:, 3].round()
    activations[:, 4] = activations[:, 4].clamp(min=3.2)
    activations[:, 5] = 0
    activations[:, 6] = 0
    activations[1::4, 6] = torch.rand(len(activations[1::4]), generator=generator)
    activations[:: len(activations) // 1024, 7] -= 9
    return activations


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("count", [1, 41, 1000, 4000])
@pytest.mark.parametrize("max_bytes", [1, 2**24])
def test_setting_aside_what_is_above_a_threshold_changes_nothing(dtype, count, max_bytes):
    activations, neurons = sieved().to(dtype), torch.arange(69, -1, -2)
    expected = activations[:, neurons].T.sort(dim=1, descending=True, stable=True).indices[:, :count]
    assert torch.equal(top_rows(activations, count, max_bytes, neurons), expected)


def test_only_neurons_that_mislead_are_searched_whole(monkeypatch):
    pytest.importorskip("numba")
    activations, searched = sieved(), []

    def search(rows, k):
        searched.append(rows.shape)
        return top_positions(rows, k)

    monkeypatch.setattr(top_images, "top_positions", search)
    top_rows(activations, 41, 2**24, torch.arange(70))
    (kept, room), (left, images) = searched
    assert (kept, left, images) == (65, 5, len(activations))
    assert room < images / 5


def test_what_is_above_thresholds_is_set_aside_while_there_is_room():
    activations = np.array([[1.0, 5.0], [2.0, 6.0], [3.0, 1.0]])
    values, rows, counts = np.zeros((2, 1)), np.full((2, 1), -1), np.zeros(2, np.int64)
    top_images.set_aside(activations, np.array([1, 0]), np.array([5.5, 1.5]), values, rows, counts)
    assert (values.tolist(), rows.tolist(), counts.tolist()) == ([[6.0], [2.0]], [[1], [1]], [1, 2])
