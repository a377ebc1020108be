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

    The logarithm of a product of factors is taken just before it could underflow, which costs one logarithm per pair
    instead of one per image and loses nothing to cancellation. Torch multiplies in float64; the compiled loop takes
    four factors at a time in float32, where they cannot underflow, and multiplies the results in float64.

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

    def by_numba(self, probability: Array) -> tuple[Array, Array]:
        """Return the log-likelihood as `by_torch` does, for NumPy arrays and where numba is installed.

        Args:
            probability: Presence :math:`q` of some concepts, shape ``(images, concepts)``; float32 is fastest.

        Returns:
            The log-likelihood, shape ``(neurons, concepts)``, and the logarithm of the sum of the likelihoods of all
            neurons, shape ``(concepts,)``, both float64.

        """
        multiply = compiled(multiply_factors)
        precision = probability.dtype if self._offsets.min() ** 4 > np.finfo(np.float32).tiny else np.float64
        likelihood, product = np.zeros((2, len(self.rows), probability.shape[1]))
        for run in self._runs:
            product.fill(1.0)
            rows = np.ascontiguousarray(self.rows[:, run].numpy())
            slopes, offsets = (numbers[run].numpy().astype(precision) for numbers in (self._slopes, self._offsets))
            multiply(probability, rows, slopes, offsets, product)
            likelihood += np.log(product)
        if len(self._runs) == 1:
            return likelihood, np.log(product.sum(axis=0))
        peak = likelihood.max(axis=0)
        return likelihood, peak + np.log(np.exp(likelihood - peak).sum(axis=0))


def multiply_factors(probability: Array, rows: Array, slopes: Array, offsets: Array, product: Array) -> None:
    """Multiply each element of a product by its factors ``offsets + slopes * probability[rows]``.

    Args:
        probability: Shape ``(images, concepts)``.
        rows: Shape ``(neurons, ranks)``.
        slopes: Shape ``(ranks,)``.
        offsets: Shape ``(ranks,)``. Four factors are multiplied in the wider of its dtype and that of ``probability``.
        product: What is multiplied in place, shape ``(neurons, concepts)``, float64.

    """
    neurons, ranks = rows.shape
    concepts = probability.shape[1]
    whole = ranks - ranks % 8
    for neuron in range(neurons):
        running, own = product[neuron].copy(), rows[neuron]
        for rank in range(0, whole, 8):
            row_a, row_b, row_c, row_d = own[rank], own[rank + 1], own[rank + 2], own[rank + 3]
            row_e, row_f, row_g, row_h = own[rank + 4], own[rank + 5], own[rank + 6], own[rank + 7]
            slope_a, slope_b, slope_c, slope_d = slopes[rank], slopes[rank + 1], slopes[rank + 2], slopes[rank + 3]
            slope_e, slope_f, slope_g, slope_h = slopes[rank + 4], slopes[rank + 5], slopes[rank + 6], slopes[rank + 7]
            offset_a, offset_b = offsets[rank], offsets[rank + 1]
            offset_c, offset_d = offsets[rank + 2], offsets[rank + 3]
            offset_e, offset_f = offsets[rank + 4], offsets[rank + 5]
            offset_g, offset_h = offsets[rank + 6], offsets[rank + 7]
            for concept in range(concepts):
                first = probability[row_a, concept] * slope_a + offset_a
                first *= probability[row_b, concept] * slope_b + offset_b
                second = probability[row_c, concept] * slope_c + offset_c
                second *= probability[row_d, concept] * slope_d + offset_d
                third = probability[row_e, concept] * slope_e + offset_e
                third *= probability[row_f, concept] * slope_f + offset_f
                fourth = probability[row_g, concept] * slope_g + offset_g
                fourth *= probability[row_h, concept] * slope_h + offset_h
                running[concept] *= np.float64(first * second) * np.float64(third * fourth)
        for rank in range(whole, ranks):
            row, slope, offset = own[rank], slopes[rank], offsets[rank]
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
