"""How likely each neuron's top images are under each concept: one product of factors per pair."""

import importlib
import math
from collections.abc import Callable, Iterator
from functools import cache, cached_property

import numpy as np
import torch
from torch import Tensor

from lightning_dissect.compiled import Array, compiled

DEEPEST = 650.0
"""A product of factors is kept above exp(-650), well inside float64, before its logarithm is taken."""

LANES = 32
"""Concepts for which the compiled loop is fastest: their products fit the registers."""


class TopLikelihood:
    r"""Log-likelihood of top images under concepts, a block of concepts at a time.

    .. math:: L_{km} = \sum_j \log(1 - p_j + \epsilon + p_j q_{I_k(j) m})

    The logarithm of a product of factors is taken just before it could underflow, which costs one logarithm per pair
    instead of one per image and loses nothing to cancellation. Torch multiplies in float64; so does the compiled loop,
    but of float32 probabilities it multiplies four factors in float32, where these cannot underflow.

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
            probability: Presence :math:`q` of some concepts, shape ``(images, concepts)``; fastest are ``LANES`` of
                them in float32.

        Returns:
            The log-likelihood, shape ``(neurons, concepts)``, and the logarithm of the sum of the likelihoods of all
            neurons, shape ``(concepts,)``, both float64.

        """
        products = (self._product(probability, run) for run in self._runs)
        likelihood = next(products)
        if len(self._runs) == 1:
            totals = np.log(likelihood.sum(axis=0))
            return np.log(likelihood, out=likelihood), totals
        likelihood = sum(map(np.log, products), np.log(likelihood))
        peak = likelihood.max(axis=0)
        return likelihood, peak + np.log(np.exp(likelihood - peak).sum(axis=0))

    def _product(self, probability: Array, run: slice) -> Array:
        product = np.ones((len(self.rows), probability.shape[1]))
        if self._fits_lanes and probability.shape[1] == LANES and probability.dtype == np.float32:
            compiled(_lanes_loop())(probability, *self._in_fours[run.start], product)
        else:
            slopes, offsets = self._slopes[run].numpy(), self._offsets[run].numpy()
            compiled(multiply_factors)(probability, self.rows[:, run].numpy(), slopes, offsets, product)
        return product

    @property
    def _fits_lanes(self) -> bool:
        """Whether no product of four factors underflows in float32."""
        return bool(self._offsets.min() ** 4 > torch.finfo(torch.float32).tiny)

    @cached_property
    def _in_fours(self) -> dict[int, tuple[Array, Array, Array]]:
        """Rows, slopes and offsets of the run that starts at a rank, filled up to fours with factors of one."""
        packed = {}
        for run in self._runs:
            lacking = (0, (run.start - run.stop) % 4)
            rows = torch.nn.functional.pad(self.rows[:, run], lacking).numpy().astype(np.uint32)
            slopes = torch.nn.functional.pad(self._slopes[run], lacking).numpy().astype(np.float32)
            offsets = torch.nn.functional.pad(self._offsets[run], lacking, value=1.0).numpy().astype(np.float32)
            packed[run.start] = (rows, slopes, offsets)
        return packed


def multiply_factors(probability: Array, rows: Array, slopes: Array, offsets: Array, product: Array) -> None:
    """Multiply each element of a product by its factors ``offsets + slopes * probability[rows]``.

    Args:
        probability: Shape ``(images, concepts)``.
        rows: Shape ``(neurons, ranks)``.
        slopes: Shape ``(ranks,)``, float64.
        offsets: Shape ``(ranks,)``, float64.
        product: What is multiplied in place, shape ``(neurons, concepts)``, float64.

    """
    neurons, ranks = rows.shape
    for neuron in range(neurons):
        for rank in range(ranks):
            row, slope, offset = rows[neuron, rank], slopes[rank], offsets[rank]
            for concept in range(probability.shape[1]):
                product[neuron, concept] *= probability[row, concept] * slope + offset


@cache
def _lanes_loop() -> Callable[..., None]:
    """Return `multiply_lanes`, whose module needs numba."""
    loop: Callable[..., None] = importlib.import_module("lightning_dissect.similarity.factor_lanes").multiply_lanes
    return loop


def _safe_runs(offsets: list[float]) -> Iterator[slice]:
    """Yield runs of ranks whose product of factors stays above ``exp(-DEEPEST)`` even if all probabilities are zero."""
    start, depth = 0, 0.0
    for rank, offset in enumerate(offsets):
        depth -= math.log(offset)
        if depth > DEEPEST and rank > start:
            yield slice(start, rank)
            start, depth = rank, -math.log(offset)
    yield slice(start, len(offsets))
