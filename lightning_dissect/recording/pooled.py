"""Pooled activations of one layer on all images, collected batch by batch."""

from typing import Any

import torch
from torch import Tensor


class PooledActivations:
    """Collects one number per image and neuron, whatever the split into batches and their order.

    Rows live in preallocated float32 buffers on the CPU that double when full. An image that comes more than once, as
    padded samples of a distributed sampler do, counts once: the row that came first.

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
    _values: Tensor

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
        if self._rows and values.shape[1] != self._values.shape[1]:
            raise ValueError(
                f"Expected `values` to have {self._values.shape[1]} neurons as before but got {values.shape[1]}; "
                "a layer must give every image equally many."
            )
        end = self._rows + len(sample_ids)
        self._reserve(end, neurons=values.shape[1])
        with torch.no_grad():
            self._sample_ids[self._rows : end] = sample_ids
            self._values[self._rows : end] = values
        self._rows = end

    def merge_state(self, other: "PooledActivations") -> None:
        """Add all images of another state of the same layer, after those that are here already."""
        if other._rows:
            self.update(other._sample_ids[: other._rows], other._values[: other._rows])

    @torch.inference_mode(mode=False)
    def compute(self) -> tuple[Tensor, Tensor]:
        """Return everything collected so far, each image once.

        Returns:
            Sample ids in ascending order, shape ``(images,)`` int64, and the activations of these images, shape
            ``(images, neurons)`` float32. If the images came in ascending order, these are views of the buffers, not
            copies: do not write to them.

        """
        sample_ids, values = self._sample_ids[: self._rows], self._values[: self._rows]
        if bool((sample_ids[1:] > sample_ids[:-1]).all()):
            return sample_ids, values
        order = _first_occurrences(sample_ids)
        return sample_ids[order], values[order]

    def reset(self) -> None:
        """Forget all images. Tensors that `compute` returned stay valid."""
        self._rows = 0
        with torch.inference_mode(mode=False):
            self._sample_ids = torch.empty(0, dtype=torch.int64)
            self._values = torch.empty(0, 0)

    def __len__(self) -> int:
        """Return the number of different images."""
        return int(torch.unique(self._sample_ids[: self._rows]).numel())

    def _reserve(self, rows: int, neurons: int) -> None:
        if rows <= len(self._sample_ids) and neurons == self._values.shape[1]:
            return
        capacity = max(rows, 2 * len(self._sample_ids))
        with torch.inference_mode(mode=False):
            sample_ids, values = torch.empty(capacity, dtype=torch.int64), torch.empty(capacity, neurons)
            if self._rows:
                sample_ids[: self._rows] = self._sample_ids[: self._rows]
                values[: self._rows] = self._values[: self._rows]
        self._sample_ids, self._values = sample_ids, values

    @torch.inference_mode(mode=False)
    def __getstate__(self) -> dict[str, Any]:
        filled = slice(self._rows)
        return {
            "_rows": self._rows,
            "_sample_ids": self._sample_ids[filled].clone(),
            "_values": self._values[filled].clone(),
        }


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
