import copy
import pickle
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lightning_dissect.recording import pooled as module
from lightning_dissect.recording.pooled import PooledActivations
from lightning_dissect.recording.storage import ActivationStorage

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
    assert state.num_bytes == 3 * 4


def test_bytes_are_those_of_rows_not_of_room_for_more() -> None:
    state = collected(*rows(), batch_size=2)
    assert state.num_bytes == IMAGES * NEURONS * 4


def test_nothing_collected() -> None:
    state = PooledActivations()
    state.merge_state(PooledActivations())
    sample_ids, activations = state.compute()
    assert len(state) == len(sample_ids) == len(activations) == state.num_bytes == 0


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


def test_copies_and_pickles_are_trimmed_and_apart() -> None:
    state = PooledActivations()
    for image in range(1000):
        state.update(torch.tensor([image]), torch.ones(1, 8))
    assert len(pickle.dumps(state)) < 1000 * (8 * 4 + 8) + 2000
    clone = copy.deepcopy(state)
    clone.update(torch.tensor([5000]), torch.zeros(1, 8))
    assert (len(state), len(clone)) == (1000, 1001)


@pytest.mark.parametrize("ascending", [True, False])
@pytest.mark.parametrize("elements", [1, 7 * NEURONS, 100 * NEURONS])
def test_blocks_of_any_size_are_joined(elements: int, ascending: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in ("_BLOCK_ELEMENTS", "_PIECE_ELEMENTS"):
        monkeypatch.setattr(module, limit, elements)
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


def in_memory_and_mapped(dirpath: Path) -> tuple[PooledActivations, PooledActivations]:
    return PooledActivations(), PooledActivations(ActivationStorage(6 * NEURONS * 4, dirpath))


@pytest.mark.parametrize("kind", ["ascending", "any order", "repeated"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_mapped_rows_are_the_same(
    kind: str, dtype: torch.dtype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit in ("_BLOCK_ELEMENTS", "_PIECE_ELEMENTS"):
        monkeypatch.setattr(module, limit, 4 * NEURONS)
    sample_ids, values = rows()
    if kind == "ascending":
        sample_ids = sample_ids.sort().values
    elif kind == "repeated":
        sample_ids = sample_ids % 11
    plain, mapped = in_memory_and_mapped(tmp_path)
    for state in (plain, mapped):
        for ids, part in zip(sample_ids.split(3), values.to(dtype).split(3), strict=True):
            state.update(ids, part)
    assert mapped.storage.bytes_in_files > 0
    assert mapped.storage.bytes_in_memory <= 6 * NEURONS * 4
    for found, expected in zip(mapped.compute(), plain.compute(), strict=True):
        assert torch.equal(found, expected)
    merged = PooledActivations(mapped.storage)
    merged.merge_state(mapped)
    for copied in (merged, pickle.loads(pickle.dumps(mapped)), copy.deepcopy(mapped)):  # noqa: S301
        assert torch.equal(copied.compute()[1], plain.compute()[1])
        assert copied.storage.max_bytes == 6 * NEURONS * 4
    mapped.reset()
    merged.reset()
    del found, state
    assert (mapped.storage.bytes_in_memory, mapped.storage.bytes_in_files) == (0, 0)
    assert list(tmp_path.iterdir()) == []


def test_joining_gives_the_blocks_back() -> None:
    storage = ActivationStorage()
    state = PooledActivations(storage)
    for sample_id in (5, 3, 4):
        state.update(torch.tensor([sample_id]), torch.ones(1, NEURONS))
    state.compute()
    assert storage.bytes_in_memory == 3 * NEURONS * 4


def test_chunks_are_in_order_of_arrival(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in ("_BLOCK_ELEMENTS", "_PIECE_ELEMENTS"):
        monkeypatch.setattr(module, limit, 4 * NEURONS)
    sample_ids, values = rows()
    state = collected(sample_ids, values, 9)
    state.update(sample_ids[:2], values[:2])
    ids, parts = zip(*state.chunks(), strict=True)
    assert max(map(len, parts)) <= 4
    assert torch.equal(torch.cat(ids), torch.cat([sample_ids, sample_ids[:2]]))
    assert torch.equal(torch.cat(parts), torch.cat([values, values[:2]]))
    assert list(PooledActivations().chunks()) == []
    for start in range(state.num_rows + 2):
        since = list(state.chunks(start))
        assert torch.equal(torch.cat([torch.empty(0, NEURONS), *(part for _, part in since)]), torch.cat(parts)[start:])
        assert [sample_id for found, _ in since for sample_id in found.tolist()] == torch.cat(ids)[start:].tolist()


def test_a_full_disk_leaves_what_is_there_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = PooledActivations(ActivationStorage(3 * NEURONS * 4, tmp_path / "missing"))
    sample_ids, values = rows()
    state.update(sample_ids[:3], values[:3])
    for _ in range(2):
        with pytest.raises(OSError, match="room for 100 bytes"):
            state.update(sample_ids[3:8], values[3:8])
    state.storage.dirpath = tmp_path
    state.update(sample_ids[3:], values[3:])
    assert torch.equal(state.compute()[1], values[sample_ids.argsort()])
