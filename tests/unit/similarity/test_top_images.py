import pytest
import torch

from lightning_dissect.similarity.top_images import limited_top_k, top_rows


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
