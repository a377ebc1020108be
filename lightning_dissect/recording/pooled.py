"""Pooled activations of one layer on all images, collected batch by batch."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

_BLOCK_ELEMENTS = 2**22


class PooledActivations:
    """Collects one number per image and neuron, whatever the split into batches and their order.

    Rows live as float32 on the CPU in blocks that are filled one after the other; `compute` joins them, freeing each as
    it goes, so that there is never more than one block beyond what was collected. An image that comes more than once,
    as padded samples of a distributed sampler do, counts once: the row that came first.

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

    def __init__(self) -> None:
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
        _check_rows(sample_ids, values)
        if self._rows and values.shape[1] != self._blocks[-1].shape[1]:
            raise ValueError(
                f"Expected `values` to have {self._blocks[-1].shape[1]} neurons as before but got {values.shape[1]}; "
                "a layer must give every image equally many."
            )
        end = self._rows + len(sample_ids)
        with torch.no_grad():
            self._reserve_ids(end)
            self._sample_ids[self._rows : end] = sample_ids
            while len(values):
                part = values[: self._reserve(values)]
                filled = len(self._blocks[-1]) - self._free
                self._blocks[-1][filled : filled + len(part)] = part
                self._free -= len(part)
                values = values[len(part) :]
        self._rows = end

    def merge_state(self, other: "PooledActivations") -> None:
        """Add all images of another state of the same layer, after those that are here already."""
        start = 0
        for values in other._filled():
            self.update(other._sample_ids[start : start + len(values)], values)
            start += len(values)

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
            self._join(torch.arange(self._rows) if ascending else _first_occurrences(sample_ids))
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

    def _reserve(self, values: Tensor) -> int:
        """Return for how many rows the last block has room; without any, begin a block as long as all so far."""
        if not self._free:
            held = sum(map(len, self._blocks))
            self._free = max(1, min(max(len(values), held), _BLOCK_ELEMENTS // max(1, values.shape[1])))
            with torch.inference_mode(mode=False):
                self._blocks.append(torch.empty(self._free, values.shape[1]))
        return self._free

    def _filled(self) -> Iterator[Tensor]:
        """Give the filled part of every block."""
        for block in self._blocks:
            yield block[: len(block) - self._free] if block is self._blocks[-1] else block

    def _join(self, order: Tensor) -> None:
        """Bring the rows at positions ``order`` into one block with room for as many more, and drop the others."""
        target = torch.full((self._rows,), -1)
        target[order] = torch.arange(len(order))
        joined = torch.empty(2 * len(order), self._blocks[0].shape[1])
        blocks, start = list(self._filled()), 0
        self._blocks = []
        while blocks:
            values = blocks.pop(0)
            rows = target[start : start + len(values)]
            start += len(values)
            joined.index_copy_(0, rows[rows >= 0], values if bool((rows >= 0).all()) else values[rows >= 0])
        self._sample_ids = self._sample_ids[order]
        self._blocks, self._rows, self._free = [joined], len(order), len(joined) - len(order)

    @torch.inference_mode(mode=False)
    def __getstate__(self) -> dict[str, Any]:
        sample_ids, values = self.compute()
        blocks = [values.clone()] if len(values) else []
        return {"_rows": len(sample_ids), "_sample_ids": sample_ids.clone(), "_blocks": blocks, "_free": 0}


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


def _check_rows(sample_ids: Tensor, values: Tensor) -> None:
    check_sample_ids(sample_ids)
    if values.ndim != 2:
        raise ValueError(f"Expected `values` to have shape (images, neurons) but got {tuple(values.shape)}.")
    if len(sample_ids) != len(values):
        raise ValueError(
            f"Expected `values` to have one row per sample id but got {len(values)} for {len(sample_ids)}."
        )


def _first_occurrences(sample_ids: Tensor) -> Tensor:
    """Return the positions of the first occurrence of each id, in ascending order of the ids."""
    order = torch.argsort(sample_ids, stable=True)
    ascending = sample_ids[order]
    first = torch.ones_like(ascending, dtype=torch.bool)
    first[1:] = ascending[1:] != ascending[:-1]
    return order[first]
