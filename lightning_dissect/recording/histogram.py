"""How the activations of each neuron are spread."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_dissect.checks import check_positive
from lightning_dissect.neuron_table import NeuronTable
from lightning_dissect.threads import numpy_reads, run_in_threads
from lightning_dissect.types import ActivationHistogram

Array = np.ndarray[Any, np.dtype[Any]]

BINS = 24
"""Bins of equal width."""

_BYTES_PER_NUMBER = 4
_ELEMENTS_AT_ONCE = 2**18
"""So few in a thread that they stay in the processor's cache, or those of one neuron."""


@dataclass(frozen=True)
class HistogramTable(NeuronTable):
    """One histogram per neuron.

    Args:
        low: Least activations, shape ``(neurons,)``, float64; NaN for neurons that are not finite.
        high: Largest activations, same shape.
        counts: Images in each bin of equal width between them, shape ``(neurons, bins)``, int32.

    """

    low: Tensor
    high: Tensor
    counts: Tensor

    def records(self) -> tuple[ActivationHistogram | None, ...]:
        """Return the rows as records: ``None`` for neurons that are not finite, one bin for constant ones."""
        rows = zip(*(getattr(self, field.name).tolist() for field in fields(self)), strict=True)
        return tuple(
            ActivationHistogram(low, high, tuple(counts) if low < high else (sum(counts),)) if low <= high else None
            for low, high, counts in rows
        )


def activation_histograms(activations: Tensor, bins: int = BINS, max_bytes: int = 2**26) -> HistogramTable:
    """Count the images in equal bins from the least to the largest activation of each neuron.

    A bin holds its lower edge and not its upper one; the last holds both.

    Args:
        activations: Pooled activations, shape ``(images, neurons)``, floating.
        bins: Bins per neuron.
        max_bytes: Most bytes of a copy of activations that NumPy cannot read in place, or those of one neuron.

    Raises:
        ValueError:
            If ``activations`` is not 2-D or has no image, or a number is not positive.

    Example:
        >>> activations = torch.tensor([[0.0, 7.0], [1.0, 7.0], [1.5, 7.0], [2.0, 7.0]])
        >>> activation_histograms(activations, bins=2).records()
        (ActivationHistogram(low=0.0, high=2.0, counts=(1, 3)), ActivationHistogram(low=7.0, high=7.0, counts=(4,)))

    """
    check_positive("bins", bins)
    check_positive("max_bytes", max_bytes)
    if activations.ndim != 2 or not len(activations):
        raise ValueError(
            "Expected `activations` of shape (images, neurons) with at least one image "
            f"but got shape {tuple(activations.shape)}."
        )
    images, neurons = activations.shape
    low, high = torch.full((2, neurons), torch.nan, dtype=torch.float64)
    counts = torch.zeros(neurons, bins, dtype=torch.int32)
    width = max(1, max_bytes // (_BYTES_PER_NUMBER * images))
    for start in range(0, neurons, width):
        part = slice(start, start + width)
        block = activations[:, part].cpu()
        _fill(
            (block if numpy_reads(block) else block.float()).numpy(),
            low[part].numpy(),
            high[part].numpy(),
            counts[part].numpy(),
        )
    return HistogramTable(low, high, counts)


def _fill(activations: Array, low: Array, high: Array, counts: Array) -> None:
    """Write the histograms of the columns of ``activations``."""
    bins = counts.shape[1]

    def fill(part: slice) -> None:
        values = activations[:, part].T.astype(np.float64)
        least, most = values.min(axis=1), values.max(axis=1)
        finite = np.isfinite(least) & np.isfinite(most)
        values, least, most = values[finite], least[finite], most[finite]
        low[part][finite], high[part][finite] = least, most
        values -= least[:, None]
        values *= bins
        values /= np.where(most > least, most - least, 1)[:, None]
        places = np.minimum(values, bins - 1, out=values).astype(np.intp)
        for neuron, row in zip(np.flatnonzero(finite), places, strict=True):
            counts[part][neuron] = np.bincount(row, minlength=bins)

    run_in_threads(fill, len(low), max(1, _ELEMENTS_AT_ONCE // len(activations)))
