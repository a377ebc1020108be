import math
import pickle

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from lightning_dissect.recording.running_top_k import RunningTopK
from lightning_dissect.recording.top_k import top_images

NEURONS = 6
KINDS = ("distinct", "ties", "negative", "relu", "constant", "broken")


def probe(kind: str, images: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    sample_ids = torch.randperm(10 * images, generator=generator)[:images]
    activations = torch.randn(images, NEURONS, generator=generator)
    if kind == "ties":
        activations = activations.round()
    elif kind == "negative":
        activations = -activations.abs().mul(2).round() - 1
    elif kind == "relu":
        activations = activations.sub(1.5).relu()
    elif kind == "constant":
        activations = torch.full_like(activations, -3.0)
    elif kind == "broken":
        activations = activations.round()
        for value in (math.nan, math.nan, math.inf, -math.inf):
            activations[torch.rand(activations.shape, generator=generator) < 0.2] = value
        activations[:, 0] = torch.nan
    return activations, sample_ids


def collected(sample_ids: Tensor, activations: Tensor, sizes: list[int], top_k: int) -> RunningTopK:
    best = RunningTopK(top_k)
    start = 0
    for size in [*sizes, len(sample_ids)]:
        best.update(sample_ids[start : start + size], activations[start : start + size])
        start += size
    return best


def bits(found: tuple[Tensor, Tensor]) -> tuple[list[list[int]], list[list[int]]]:
    one_nan = found[0].masked_fill(found[0].isnan(), torch.nan)
    return one_nan.view(torch.int32).tolist(), found[1].tolist()


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.float16]),
    images=st.integers(1, 40),
    top_k=st.integers(1, 12),
    sizes=st.lists(st.integers(0, 15), max_size=6),
    seed=st.integers(0, 10_000),
)
def test_equals_top_images_for_every_split(
    *, kind: str, dtype: torch.dtype, images: int, top_k: int, sizes: list[int], seed: int
) -> None:
    activations, sample_ids = probe(kind, images, seed)
    activations = activations.to(dtype)
    best = collected(sample_ids, activations, sizes, top_k)
    assert bits(best.compute()) == bits(top_images(activations.float(), sample_ids, top_k))


@settings(max_examples=100, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    images=st.integers(1, 40),
    shards=st.integers(1, 8),
    repeats=st.integers(0, 5),
    top_k=st.integers(1, 12),
    data=st.data(),
)
def test_merged_shards_with_repeated_images_equal_one_process(
    *, kind: str, images: int, shards: int, repeats: int, top_k: int, data: st.DataObject
) -> None:
    activations, sample_ids = probe(kind, images, seed=images)
    rows = [*range(images), *data.draw(st.lists(st.integers(0, images - 1), min_size=repeats, max_size=repeats))]
    shard_of = data.draw(st.lists(st.integers(0, shards - 1), min_size=len(rows), max_size=len(rows)))
    states = []
    for shard in range(shards):
        own = torch.tensor(
            [row for row, place in zip(rows, shard_of, strict=True) if place == shard], dtype=torch.int64
        )
        states.append(collected(sample_ids[own], activations[own], [3, 3], top_k))
    merged = RunningTopK(top_k)
    for place in data.draw(st.permutations(range(shards))):
        merged.merge_state(pickle.loads(pickle.dumps(states[place])))  # noqa: S301
    assert bits(merged.compute()) == bits(top_images(activations, sample_ids, top_k))


def test_results_are_normal_tensors_that_later_updates_leave_alone() -> None:
    best = RunningTopK(1)
    with torch.inference_mode():
        best.update(torch.tensor([1]), torch.zeros(1, 2))
        early = best.compute()
        best.update(torch.tensor([0]), torch.tensor([[1.0, -1.0]]))
    assert not any(tensor.is_inference() for tensor in best.compute())
    assert early[1].tolist() == [[1], [1]]
    assert best.compute()[1].tolist() == [[0], [1]]
    best.reset()
    assert best.compute()[0].shape == (0, 0)


def test_an_image_counts_once_with_what_came_first() -> None:
    best = RunningTopK(2)
    best.update(torch.tensor([4, 4]), torch.tensor([[1.0], [2.0]]))
    best.update(torch.tensor([4, 5]), torch.tensor([[3.0], [0.0]]))
    assert [found.tolist() for found in best.compute()] == [[[1.0, 0.0]], [[4, 5]]]


def test_rejects_what_does_not_fit() -> None:
    best = RunningTopK(2)
    best.update(torch.arange(2), torch.ones(2, 3))
    with pytest.raises(ValueError, match="3 neurons as before but got 4"):
        best.update(torch.arange(2), torch.ones(2, 4))
    with pytest.raises(ValueError, match="one row per sample id"):
        best.update(torch.arange(3), torch.ones(2, 3))
    with pytest.raises(ValueError, match="`top_k` of at least 2 but got 1"):
        best.merge_state(RunningTopK(1))
    with pytest.raises(ValueError, match="`top_k` to be greater than 0"):
        RunningTopK(0)
