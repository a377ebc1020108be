"""How likely each neuron's top images are under each concept: one product of factors per pair."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from lightning_dissect.compiled import Array, compiled

DEEPEST = 650.0
"""A product of factors is kept above exp(-650), well inside float64, before its logarithm is taken."""


class TopLikelihood:
    r"""Log-likelihood of top images under concepts, a block of concepts at a time.

    .. math:: L_{km} = \sum_j \log(1 - p_j + \epsilon + p_j q_{I_k(j) m})

    Factors are multiplied in float64 and their logarithm is taken just before they could underflow, which costs one
    logarithm per pair instead of one per image and loses nothing to cancellation.

    Args:
        rows: Row :math:`I_k(j)` of the presence of each neuron's top images, shape ``(neurons, top_k)``.
        membership: Probability :math:`p_j` that the image of rank j belongs to the neuron's top, shape ``(top_k,)``.
        epsilon: Least value of a factor.

    Example:
        >>> likelihood = TopLikelihood(torch.tensor([[0, 1]]), torch.ones(2), epsilon=1e-7)
        >>> likelihood.by_torch(torch.tensor([[0.5], [0.25]], dtype=torch.float64)).exp()
        tensor([[0.1250]], dtype=torch.float64)

    """

    def __init__(self, rows: Tensor, membership: Tensor, epsilon: float) -> None:
        self.rows = rows
        self._slopes = membership.to("cpu", torch.float64)
        self._offsets = 1 - self._slopes + epsilon
        self._runs = list(_safe_runs(self._offsets.tolist()))

    def by_torch(self, probability: Tensor) -> Tensor:
        """Return the log-likelihood, on any device.

        Args:
            probability: Presence :math:`q` of some concepts in float64, shape ``(images, concepts)``.

        Returns:
            Shape ``(neurons, concepts)``, float64.

        """
        likelihood = torch.zeros(len(self.rows), probability.shape[1], dtype=torch.float64, device=probability.device)
        factors = torch.empty_like(likelihood)
        for run in self._runs:
            product = torch.ones_like(likelihood)
            for rank in range(run.start, run.stop):
                torch.index_select(probability, 0, self.rows[:, rank], out=factors)
                product *= factors.mul_(self._slopes[rank].item()).add_(self._offsets[rank].item())
            likelihood += product.log_()
        return likelihood

    def by_numba(self, probability: Array) -> Array:
        """Return the log-likelihood as `by_torch` does, for NumPy arrays and where numba is installed."""
        multiply = compiled(multiply_factors)
        likelihood = np.zeros((len(self.rows), probability.shape[1]))
        for run in self._runs:
            product = np.ones_like(likelihood)
            rows = np.ascontiguousarray(self.rows[:, run].numpy())
            multiply(probability, rows, self._slopes[run].numpy(), self._offsets[run].numpy(), product)
            likelihood += np.log(product, out=product)
        return likelihood


def multiply_factors(probability: Array, rows: Array, slopes: Array, offsets: Array, product: Array) -> None:
    """Multiply each element of a product by its factors ``offsets + slopes * probability[rows]``.

    Args:
        probability: Shape ``(images, concepts)``.
        rows: Shape ``(neurons, ranks)``.
        slopes: Shape ``(ranks,)``.
        offsets: Shape ``(ranks,)``.
        product: What is multiplied in place, shape ``(neurons, concepts)``.

    """
    neurons, ranks = rows.shape
    concepts = probability.shape[1]
    whole = ranks - ranks % 4
    for neuron in range(neurons):
        running = product[neuron].copy()
        for rank in range(0, whole, 4):
            a, b, c, d = rank, rank + 1, rank + 2, rank + 3
            row_a, row_b, row_c, row_d = rows[neuron, a], rows[neuron, b], rows[neuron, c], rows[neuron, d]
            slope_a, slope_b, slope_c, slope_d = slopes[a], slopes[b], slopes[c], slopes[d]
            offset_a, offset_b, offset_c, offset_d = offsets[a], offsets[b], offsets[c], offsets[d]
            for concept in range(concepts):
                first = probability[row_a, concept] * slope_a + offset_a
                first *= probability[row_b, concept] * slope_b + offset_b
                second = probability[row_c, concept] * slope_c + offset_c
                second *= probability[row_d, concept] * slope_d + offset_d
                running[concept] *= first * second
        for rank in range(whole, ranks):
            row, slope, offset = rows[neuron, rank], slopes[rank], offsets[rank]
            for concept in range(concepts):
                running[concept] *= probability[row, concept] * slope + offset
        product[neuron] = running


def _safe_runs(offsets: list[float]) -> Iterator[slice]:
    """Yield runs of ranks whose product of factors stays above ``exp(-DEEPEST)`` even if all probabilities are zero."""
    start, depth = 0, 0.0
    for rank, offset in enumerate(offsets):
        depth -= math.log(offset)
        if depth > DEEPEST and rank > start:
            yield slice(start, rank)
            start, depth = rank, -math.log(offset)
    yield slice(start, len(offsets))
