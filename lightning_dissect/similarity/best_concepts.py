"""The best concepts of each neuron, kept while scores pass by in blocks of concepts."""

import torch
from torch import Tensor

GROUP = 64
"""Concepts of which first only the highest score is looked at."""


class BestConcepts:
    """Keeps the highest scores of each neuron and their concepts, so that the scores themselves need not be held.

    Lower concepts win ties; NaN and minus infinity are never kept. Every score is read once: the best concepts of a
    neuron lie in the groups with the highest peaks, and only these are looked into.

    Args:
        neurons: Number of neurons.
        count: Concepts kept per neuron.

    Attributes:
        values: Scores, best first, shape ``(neurons, count)``, float64; minus infinity where there is none.
        concepts: Their concepts, shape ``(neurons, count)``, int64; -1 where there is none.

    Example:
        >>> best = BestConcepts(neurons=1, count=2)
        >>> best.update(0, torch.tensor([[0.1, 0.7]]))
        >>> best.update(2, torch.tensor([[0.7, 0.3]]))
        >>> best.concepts
        tensor([[1, 2]])

    """

    def __init__(self, neurons: int, count: int) -> None:
        self.values = torch.full((neurons, count), -torch.inf, dtype=torch.float64)
        self.concepts = torch.full((neurons, count), -1)

    def update(self, start: int, scores: Tensor) -> None:
        """Look at the scores of some concepts, which must come in ascending order.

        Args:
            start: Index of the first of these concepts.
            scores: Shape ``(neurons, concepts)``, any floating dtype; only read.

        """
        if not scores.numel():
            return
        peaks = _group_peaks(scores)
        if peaks.isnan().any():
            scores = scores.where(~scores.isnan(), -torch.inf)
            peaks = _group_peaks(scores)
        better = (peaks.amax(dim=1) > self.values[:, -1].to(peaks)).nonzero().flatten()
        if not len(better):
            return
        count = self.values.shape[1]
        groups = peaks[better].argsort(dim=1, descending=True, stable=True)[:, :count].sort(dim=1).values
        members = (groups[:, :, None] * GROUP + torch.arange(GROUP, device=groups.device)).flatten(1)
        found = scores[better[:, None], members.clamp(max=scores.shape[1] - 1)].to("cpu", torch.float64)
        found.masked_fill_((members >= scores.shape[1]).cpu(), -torch.inf)
        better = better.cpu()
        values = torch.cat([self.values[better], found], dim=1)
        concepts = torch.cat([self.concepts[better], start + members.cpu()], dim=1)
        self.values[better], chosen = _first_largest(values, count)
        self.concepts[better] = concepts.gather(1, chosen).where(self.values[better] > -torch.inf, -1)


def _group_peaks(scores: Tensor) -> Tensor:
    """Return the highest score in each run of `GROUP` concepts, shape ``(neurons, groups)``."""
    neurons, concepts = scores.shape
    whole = concepts - concepts % GROUP
    peaks = scores[:, :whole].reshape(neurons, whole // GROUP, GROUP).amax(dim=2)
    return peaks if whole == concepts else torch.cat([peaks, scores[:, whole:].amax(dim=1, keepdim=True)], dim=1)


def _first_largest(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the largest values of each row, descending, and where they are, lower positions first."""
    remaining = values.clone()
    found = []
    for _ in range(count):
        largest = remaining.max(dim=1, keepdim=True)
        remaining.scatter_(1, largest.indices, -torch.inf)
        found.append(largest)
    return torch.cat([part.values for part in found], dim=1), torch.cat([part.indices for part in found], dim=1)
