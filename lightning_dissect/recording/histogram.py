"""How the activations of each neuron are spread."""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from lightning_dissect.checks import check_positive
from lightning_dissect.neuron_table import NeuronTable
from lightning_dissect.types import ActivationHistogram

BINS = 24
"""Bins of equal width."""

_BYTES_PER_ELEMENT = 24
_ELEMENTS_AT_ONCE = 2**18


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
        max_bytes: Most bytes that intermediate results may take, or those of one neuron.

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
    low, high = torch.full((2, neurons), torch.nan, dtype=torch.float64, device=activations.device)
    counts = torch.zeros(neurons, bins, dtype=torch.int32, device=activations.device)
    width = max(1, min(_ELEMENTS_AT_ONCE, max_bytes // _BYTES_PER_ELEMENT) // images)
    for start in range(0, neurons, width):
        part = slice(start, start + width)
        values = activations[:, part].to(torch.float64)
        least, most = torch.aminmax(values, dim=0)
        finite = least.isfinite() & most.isfinite()
        counts[part] = _counted(values, least, most, bins) * finite[:, None]
        low[part], high[part] = least.where(finite, torch.nan), most.where(finite, torch.nan)
    return HistogramTable(low.cpu(), high.cpu(), counts.cpu())


def _counted(values: Tensor, low: Tensor, high: Tensor, bins: int) -> Tensor:
    """Return how many values of each column fall into each bin, shape ``(columns, bins)``."""
    span = (high - low).where(high > low, 1)
    places = ((values - low).mul_(bins).div_(span)).nan_to_num_(0.0).clamp_(0, bins - 1).to(torch.int64)
    places += bins * torch.arange(len(low), device=places.device)
    return torch.bincount(places.flatten(), minlength=bins * len(low)).view(len(low), bins)
