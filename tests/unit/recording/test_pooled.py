import copy
import pickle

import pytest
import torch
from torch import Tensor

from lightning_dissect.recording import pooled as module
from lightning_dissect.recording.pooled import PooledActivations

IMAGES, NEURONS = 23, 5


def rows(seed: int = 0, images: int = IMAGES) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    sample_ids = torch.randperm(100, generator=generator)[:images]
    return sample_ids, torch.randn(images, NEURONS, generator=generator)


def collected(sample_ids: Tensor, values: Tensor, batch_size: int) -> PooledActivations:
    state = PooledActivations()
    for ids, part in zip(sample_ids.split(batch_size), values.split(batch_size), strict=True):
        state.update(ids, part)
    return state


@pytest.mark.parametrize("batch_size", [1, 2, 7, IMAGES, 100])
@pytest.mark.parametrize("seed", [None, 0, 1])
def test_neither_split_nor_order_matters(batch_size: int, seed: int | None) -> None:
    sample_ids, values = rows()
    ascending = sample_ids.argsort()
    if seed is not None:
        order = torch.randperm(IMAGES, generator=torch.Generator().manual_seed(seed))
        state = collected(sample_ids[order], values[order], batch_size)
    else:
        state = collected(sample_ids[ascending], values[ascending], batch_size)
    ids, activations = state.compute()
    assert torch.equal(ids, sample_ids[ascending])
    assert torch.equal(activations, values[ascending])
    assert activations.dtype == torch.float32
    assert len(state) == IMAGES


@pytest.mark.parametrize("split", range(0, IMAGES + 1, 4))
def test_merging_states_is_collecting_in_one(split: int) -> None:
    sample_ids, values = rows()
    first, second = collected(sample_ids[:split], values[:split], 3), collected(sample_ids[split:], values[split:], 4)
    first.merge_state(pickle.loads(pickle.dumps(second)))  # noqa: S301
    whole = collected(sample_ids, values, 5)
    for merged, expected in zip(first.compute(), whole.compute(), strict=True):
        assert torch.equal(merged, expected)


def test_the_first_row_of_an_image_counts() -> None:
    state = PooledActivations()
    state.update(torch.tensor([3, 1, 3]), torch.tensor([[1.0], [2.0], [3.0]]))
    state.update(torch.tensor([1, 0]), torch.tensor([[4.0], [5.0]]))
    sample_ids, activations = state.compute()
    assert sample_ids.tolist() == [0, 1, 3]
    assert activations.flatten().tolist() == [5.0, 2.0, 1.0]
    assert len(state) == 3


def test_nothing_collected() -> None:
    state = PooledActivations()
    state.merge_state(PooledActivations())
    sample_ids, activations = state.compute()
    assert len(state) == len(sample_ids) == len(activations) == 0


def test_an_empty_batch_changes_nothing() -> None:
    state = PooledActivations()
    state.update(torch.empty(0, dtype=torch.int64), torch.empty(0, 3))
    state.update(torch.tensor([1]), torch.ones(1, 2))
    assert state.compute()[1].shape == (1, 2)


def test_ascending_images_are_not_copied_and_survive_what_follows() -> None:
    state = PooledActivations()
    state.update(torch.arange(4), torch.ones(4, 2))
    _, early = state.compute()
    assert early.data_ptr() == state.compute()[1].data_ptr()
    state.update(torch.arange(4, 40), torch.zeros(36, 2))
    state.reset()
    state.update(torch.arange(4), torch.zeros(4, 2))
    assert torch.equal(early, torch.ones(4, 2))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64, torch.int32, torch.bool])
def test_values_become_float32(dtype: torch.dtype) -> None:
    state = PooledActivations()
    state.update(torch.tensor([0], dtype=torch.int32), torch.tensor([[1, 0]]).to(dtype))
    assert torch.equal(state.compute()[1], torch.tensor([[1.0, 0.0]]))


def test_buffers_grow_by_doubling_and_pickle_trimmed() -> None:
    state = PooledActivations()
    addresses = set()
    for image in range(1000):
        state.update(torch.tensor([image]), torch.ones(1, 8))
        addresses.add(state.compute()[1].untyped_storage().data_ptr())
    assert len(addresses) <= 11
    assert len(pickle.dumps(state)) < 1000 * (8 * 4 + 8) + 2000
    clone = copy.deepcopy(state)
    clone.update(torch.tensor([5000]), torch.zeros(1, 8))
    assert (len(state), len(clone)) == (1000, 1001)


@pytest.mark.parametrize("ascending", [True, False])
@pytest.mark.parametrize("elements", [1, 7 * NEURONS, 100 * NEURONS])
def test_blocks_of_any_size_are_joined(elements: int, ascending: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK_ELEMENTS", elements)
    sample_ids, values = rows()
    if ascending:
        sample_ids = sample_ids.sort().values
    state = PooledActivations()
    for start in (0, 10, 10, 5, 20):
        state.update(sample_ids[start : start + 10], values[start : start + 10])
        if start == 5:
            state.compute()
    assert len(state) == IMAGES
    order = sample_ids.argsort()
    for found, expected in zip(state.compute(), (sample_ids[order], values[order]), strict=True):
        assert torch.equal(found, expected)
    clone = pickle.loads(pickle.dumps(state))  # noqa: S301
    clone.merge_state(collected(sample_ids + 100, values, 4))
    assert torch.equal(clone.compute()[1], torch.cat([values[order], values[order]]))


def test_inference_mode_leaves_normal_tensors() -> None:
    with torch.inference_mode():
        state = PooledActivations()
        state.update(torch.tensor([2, 1]), torch.ones(2, 3) * 2)
        unsorted = state.compute()
        clone = copy.deepcopy(state)
    clone.update(torch.tensor([3]), torch.zeros(1, 3))
    assert not any(tensor.is_inference() for tensor in (*unsorted, *clone.compute()))
    weight = torch.ones(3, requires_grad=True)
    (unsorted[1] @ weight).sum().backward()
    assert weight.grad is not None


def test_gradients_are_cut() -> None:
    state = PooledActivations()
    state.update(torch.tensor([0]), torch.ones(1, 3, requires_grad=True) * 2)
    assert not state.compute()[1].requires_grad


@pytest.mark.parametrize(
    ("sample_ids", "values", "message"),
    [
        (torch.zeros(2, 1, dtype=torch.int64), torch.ones(2, 3), r"1-D tensor of integers but got shape \(2, 1\)"),
        (torch.zeros(2), torch.ones(2, 3), "1-D tensor of integers but got .* of torch.float32"),
        (torch.zeros(2, dtype=torch.bool), torch.ones(2, 3), "of torch.bool"),
        (torch.arange(2), torch.ones(2), r"shape \(images, neurons\) but got \(2,\)"),
        (torch.arange(2), torch.ones(3, 3), "one row per sample id but got 3 for 2"),
        (torch.arange(2), torch.ones(2, 4), "3 neurons as before but got 4"),
    ],
)
def test_rejects_what_does_not_fit(sample_ids: Tensor, values: Tensor, message: str) -> None:
    state = PooledActivations()
    state.update(torch.arange(2), torch.ones(2, 3))
    with pytest.raises(ValueError, match=message):
        state.update(sample_ids, values)
    assert len(state) == 2
