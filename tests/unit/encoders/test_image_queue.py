import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lightning_dissect.encoders.image_queue import ImageQueue


def square(side: int, *ids: int) -> tuple[Tensor, Tensor]:
    """Images whose pixels are their ids."""
    keys = torch.tensor(ids, dtype=torch.int64)
    return keys.to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, side, side).contiguous(), keys


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 9), max_size=12), st.integers(1, 7), st.integers(50, 2000))
def test_every_image_comes_out_once_in_order_and_in_batches(parts: list[int], batch_size: int, max_bytes: int) -> None:
    queue = ImageQueue(batch_size, max_bytes)
    taken: dict[int, list[int]] = {2: [], 3: []}
    given_ids: dict[int, list[int]] = {2: [], 3: []}
    start = 0
    for turn, count in enumerate(parts):
        side = 2 + turn % 2
        images, ids = square(side, *range(start, start + count))
        start += count
        given_ids[side] += ids.tolist()
        queue.put(images, ids)
        for batch, batch_ids in queue.ready():
            assert len(batch) == len(batch_ids) <= batch_size
            assert torch.equal(batch[:, 0, 0, 0], batch_ids.to(torch.uint8))
            taken[batch.shape[-1]] += batch_ids.tolist()
        assert queue._num_bytes() <= max_bytes
        assert len(queue) == start - sum(map(len, taken.values()))
    for batch, batch_ids in queue.rest():
        assert len(batch) <= batch_size
        taken[batch.shape[-1]] += batch_ids.tolist()
    assert taken == given_ids
    assert len(queue) == queue._num_bytes() == 0


def test_full_batches_come_at_once_and_the_rest_holds_on_to_no_more_than_itself() -> None:
    queue = ImageQueue(4)
    queue.put(*square(2, *range(11)))
    assert [len(ids) for _, ids in queue.ready()] == [4, 4]
    assert queue.waits(torch.tensor([7, 8, 10])).tolist() == [False, True, True]
    ((images, _),) = (part for parts in queue._groups.values() for part in parts)
    assert images.untyped_storage().nbytes() == images.nbytes
    assert list(queue.ready()) == []


def test_too_many_bytes_do_not_wait() -> None:
    queue = ImageQueue(100, max_bytes=100)
    queue.put(*square(2, 1, 2))
    queue.put(*square(3, 3))
    assert list(queue.ready()) == []
    queue.put(*square(2, 4, 5, 6, 7, 8))
    assert [ids.tolist() for _, ids in queue.ready()] == [[1, 2, 4, 5, 6, 7, 8]]
    assert len(queue) == 1


def test_nothing_is_no_batch_and_bad_sizes_are_refused() -> None:
    queue = ImageQueue(2)
    queue.put(*square(2))
    assert list(queue.ready()) == list(queue.rest()) == []
    for sizes in ((0, 1), (1, 0)):
        with pytest.raises(ValueError, match="greater than 0"):
            ImageQueue(*sizes)
