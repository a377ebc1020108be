import math

import pytest
import torch
from torch import Tensor

from lightning_dissect.recording import top_k as module
from lightning_dissect.recording.top_k import top_images


def slow_top_images(activations: Tensor, sample_ids: Tensor, top_k: int) -> tuple[list[list[float]], list[list[int]]]:
    """Sort every neuron's images by descending activation, then by ascending sample id; NaN as minus infinity."""
    values, ids = [], []
    for column in activations.T.tolist():
        pairs = sorted(
            zip(column, sample_ids.tolist(), strict=True),
            key=lambda pair: (math.inf if math.isnan(pair[0]) else -pair[0], pair[1]),
        )[:top_k]
        values.append([value for value, _ in pairs])
        ids.append([sample_id for _, sample_id in pairs])
    return values, ids


def probe(kind: str, images: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    sample_ids = torch.randperm(10 * images, generator=generator)[:images]
    activations = torch.randn(images, 9, generator=generator)
    if kind == "ties":
        activations = (activations * 2).round()
    elif kind == "relu":
        activations = activations.sub(1.5).relu()
    elif kind == "constant":
        activations = torch.full_like(activations, -3.0)
    elif kind == "broken":
        activations = (activations * 2).round()
        activations[torch.rand(activations.shape, generator=generator) < 0.4] = torch.nan
        activations[torch.rand(activations.shape, generator=generator) < 0.1] = torch.inf
        activations[torch.rand(activations.shape, generator=generator) < 0.1] = -torch.inf
        activations[:, 0] = torch.nan
    return activations, sample_ids


@pytest.mark.parametrize("kind", ["distinct", "ties", "relu", "constant", "broken"])
@pytest.mark.parametrize("images", [1, 2, 31])
@pytest.mark.parametrize("top_k", [1, 2, 10, 31, 99])
@pytest.mark.parametrize("block", [1, 100, 2**23])
def test_equals_a_slow_stable_sort(
    kind: str, images: int, top_k: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ELEMENTS_AT_ONCE", block)
    for seed in range(3):
        activations, sample_ids = probe(kind, images, seed)
        values, ids = top_images(activations, sample_ids, top_k)
        expected_values, expected_ids = slow_top_images(activations, sample_ids, top_k)
        assert ids.tolist() == expected_ids
        torch.testing.assert_close(values, torch.tensor(expected_values), rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("kind", ["ties", "relu", "broken"])
def test_the_order_of_the_images_does_not_matter(kind: str) -> None:
    activations, sample_ids = probe(kind, 31, seed=0)
    order = torch.randperm(31, generator=torch.Generator().manual_seed(5))
    for one, other in zip(
        top_images(activations, sample_ids, 7), top_images(activations[order], sample_ids[order], 7), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)


def test_inputs_are_left_alone_and_dtypes_kept() -> None:
    activations, sample_ids = probe("broken", 31, seed=0)
    before = activations.clone()
    values, ids = top_images(activations.double(), sample_ids, 3)
    torch.testing.assert_close(activations, before, rtol=0, atol=0, equal_nan=True)
    assert (values.dtype, ids.dtype) == (torch.float64, torch.int64)


@pytest.mark.parametrize(
    ("activations", "sample_ids", "top_k", "message"),
    [
        (torch.ones(3, 2), torch.arange(3), 0, "`top_k` to be greater than 0"),
        (torch.ones(3), torch.arange(3), 1, r"shape \(images, neurons\), at least one image"),
        (torch.ones(0, 2), torch.arange(0), 1, "at least one image"),
        (torch.ones(3, 2), torch.arange(4), 1, r"but got shapes \(3, 2\) and \(4,\)"),
    ],
)
def test_rejects_bad_input(activations: Tensor, sample_ids: Tensor, top_k: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        top_images(activations, sample_ids, top_k)
