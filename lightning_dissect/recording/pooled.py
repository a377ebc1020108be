"""Pooled activations of one layer on all images, collected batch by batch."""

from collections.abc import Iterator
from math import ceil
from typing import Any

import torch
from torch import Tensor

from lightning_dissect.recording.storage import ActivationStorage

_BLOCK_ELEMENTS = 2**23
"""Large enough for glibc to map a block by itself, so that its memory goes back to the system as soon as it is freed;
of smaller ones it keeps what lies below anything still in use."""

_PIECE_ELEMENTS = 2**22


class PooledActivations:
    """Collects one number per image and neuron, whatever the split into batches and their order.

    Rows live as float32 on the CPU in blocks that are filled one after the other; `compute` joins them, freeing each as
    it goes, so that there is never more than one block beyond what was collected. Where the blocks are, in memory or
    mapped to files, is up to the storage. An image that comes more than once, as padded samples of a distributed
    sampler do, counts once: the row that came first.

    Args:
        storage: Where the rows are held; by default all in memory.

    Example:
        >>> state = PooledActivations()
        >>> state.update(torch.tensor([7, 2]), torch.tensor([[0.7], [0.2]]))
        >>> state.update(torch.tensor([2, 5]), torch.tensor([[9.9], [0.5]]))
        >>> sample_ids, activations = state.compute()
        >>> sample_ids.tolist(), activations.shape, len(state)
        ([2, 5, 7], torch.Size([3, 1]), 3)

    """

    _rows: int
    _sample_ids: Tensor
    _blocks: list[Tensor]
    _free: int

    def __init__(self, storage: ActivationStorage | None = None) -> None:
        self.storage = ActivationStorage() if storage is None else storage
        self.reset()

    def update(self, sample_ids: Tensor, values: Tensor) -> None:
        """Add images.

        Args:
            sample_ids: Integers, shape ``(images,)``.
            values: Pooled activations, shape ``(images, neurons)``, any real dtype and device.

        Raises:
            ValueError:
                If a shape is wrong, the two have different numbers of images, or the number of neurons is not the same
                as before.

        """
        check_rows(sample_ids, values)
        images, neurons = values.shape
        if self._rows and neurons != self._blocks[-1].shape[1]:
            raise ValueError(
                f"Expected `values` to have {self._blocks[-1].shape[1]} neurons as before but got {neurons}; "
                "a layer must give every image equally many."
            )
        end, fitting = self._rows + images, min(self._free, images)
        with torch.no_grad():
            self._reserve_ids(end)
            further = self._begin_block(images - fitting, neurons) if fitting < images else None
            if fitting:
                filled = self._blocks[-1].shape[0] - self._free
                self._blocks[-1][filled : filled + fitting] = values[:fitting]
            if further is not None:
                further[: images - fitting] = values[fitting:]
                self._blocks.append(further)
                self._free += further.shape[0]
            self._sample_ids[self._rows : end] = sample_ids
        self._free -= images
        self._rows = end

    def merge_state(self, other: "PooledActivations") -> None:
        """Add all images of another state of the same layer, after those that are here already."""
        for sample_ids, values in other.chunks():
            self.update(sample_ids, values)

    @property
    def num_rows(self) -> int:
        """Rows held, an image as often as it came; less than before once `compute` has dropped what is repeated."""
        return self._rows

    @property
    def num_bytes(self) -> int:
        """Bytes of the rows held, in memory and in files."""
        return sum(block.nbytes for block in self._filled())

    def chunks(self, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Give rows in the order in which they came, without joining them.

        An image that came more than once is there each time. Whatever calls `compute` in between (pickling does too)
        brings the rows into the order of their ids.

        Args:
            start: Rows to leave out: with the `num_rows` of an earlier look, what has come since.

        Yields:
            Sample ids, shape ``(rows,)`` int64, and activations, shape ``(rows, neurons)`` float32, of at most 16 MiB.
            They are views of what is held, not copies: do not write to them, and do not change the state meanwhile.

        """
        end = 0
        for block in self._filled():
            first, end = end, end + len(block)
            for values in _pieces(block[max(0, start - first) :]) if start < end else ():
                begin = max(start, first)
                yield self._sample_ids[begin : begin + len(values)], values
                start = begin + len(values)

    @torch.inference_mode(mode=False)
    def compute(self) -> tuple[Tensor, Tensor]:
        """Return everything collected so far, each image once.

        Returns:
            Sample ids in ascending order, shape ``(images,)`` int64, and the activations of these images, shape
            ``(images, neurons)`` float32. They are views of what is held, not copies: do not write to them.

        """
        sample_ids = self._sample_ids[: self._rows]
        ascending = bool((sample_ids[1:] > sample_ids[:-1]).all())
        if not ascending or len(self._blocks) > 1:
            self._join(torch.arange(self._rows) if ascending else first_occurrences(sample_ids))
        values = next(self._filled(), torch.empty(0, 0))
        return self._sample_ids[: self._rows], values

    def reset(self) -> None:
        """Forget all images. Tensors that `compute` returned stay valid."""
        self._rows = self._free = 0
        self._blocks = []
        with torch.inference_mode(mode=False):
            self._sample_ids = torch.empty(0, dtype=torch.int64)

    def __len__(self) -> int:
        """Return the number of different images."""
        return int(torch.unique(self._sample_ids[: self._rows]).numel())

    def _reserve_ids(self, rows: int) -> None:
        if rows > len(self._sample_ids):
            with torch.inference_mode(mode=False):
                sample_ids = torch.empty(max(rows, 2 * len(self._sample_ids)), dtype=torch.int64)
                sample_ids[: self._rows] = self._sample_ids[: self._rows]
            self._sample_ids = sample_ids

    def _begin_block(self, rows: int, neurons: int) -> Tensor:
        """Return room for ``rows`` rows, and for as many as there are so far if these are not too many."""
        as_many = min(self._rows, ceil(_BLOCK_ELEMENTS / max(1, neurons)))
        return self.storage.empty(max(rows, as_many), neurons)

    def _filled(self) -> Iterator[Tensor]:
        """Give the filled part of every block."""
        for block in self._blocks:
            yield block[: len(block) - self._free] if block is self._blocks[-1] else block

    def _join(self, order: Tensor) -> None:
        """Bring the rows at positions ``order`` into one block, and drop the others."""
        target = torch.full((self._rows,), -1)
        target[order] = torch.arange(len(order))
        joined = self.storage.empty(len(order), self._blocks[0].shape[1])
        blocks, start = list(self._filled()), 0
        self._blocks = []
        while blocks:
            for values in _pieces(blocks.pop(0)):
                rows = target[start : start + len(values)]
                kept = rows >= 0
                start += len(values)
                joined.index_copy_(0, rows[kept], values if bool(kept.all()) else values[kept])
        self._sample_ids = self._sample_ids[order]
        self._blocks, self._rows, self._free = [joined], len(order), 0

    @torch.inference_mode(mode=False)
    def __getstate__(self) -> dict[str, Any]:
        sample_ids, values = self.compute()
        return {"storage": self.storage, "sample_ids": sample_ids.clone(), "values": values.clone()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        PooledActivations.__init__(self, state["storage"])
        self.update(state["sample_ids"], state["values"])


def check_sample_ids(sample_ids: Tensor) -> None:
    """Check that sample ids are integers of shape ``(images,)``.

    Raises:
        ValueError:
            If they are not.

    """
    if sample_ids.ndim != 1 or sample_ids.is_floating_point() or sample_ids.dtype == torch.bool:
        raise ValueError(
            f"Expected `sample_ids` to be a 1-D tensor of integers but got shape {tuple(sample_ids.shape)} "
            f"of {sample_ids.dtype}."
        )


def check_rows(sample_ids: Tensor, values: Tensor) -> None:
    """Check that there is one row of values, of shape ``(images, neurons)``, per sample id.

    Raises:
        ValueError:
            If there is not.

    """
    check_sample_ids(sample_ids)
    if values.ndim != 2:
        raise ValueError(f"Expected `values` to have shape (images, neurons) but got {tuple(values.shape)}.")
    if len(sample_ids) != len(values):
        raise ValueError(
            f"Expected `values` to have one row per sample id but got {len(values)} for {len(sample_ids)}."
        )


def first_occurrences(sample_ids: Tensor) -> Tensor:
    """Return the positions of the first occurrence of each id, in ascending order of the ids."""
    order = torch.argsort(sample_ids, stable=True)
    ascending = sample_ids[order]
    first = torch.ones_like(ascending, dtype=torch.bool)
    first[1:] = ascending[1:] != ascending[:-1]
    return order[first]


def _pieces(block: Tensor) -> Iterator[Tensor]:
    """Give a block in parts of at most `_PIECE_ELEMENTS`, so that a copy of one stays small."""
    yield from torch.split(block, max(1, _PIECE_ELEMENTS // max(1, block.shape[1])))
