"""Whether other images would find the same of a neuron's candidates the best."""

from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_dissect.threads import run_in_threads

Array = np.ndarray[Any, np.dtype[Any]]

DRAWS = 1024
"""Probes that are imagined, the same for every neuron."""

_LEAST_PIVOT = 1e-12
"""Share of a lead's variance below which what the leads before it leave of it is rounding."""

_NEURONS_AT_ONCE = 16
"""So few in a thread that what is drawn for them stays in the processor's cache."""


def best_stability(quality: Tensor, lead_covariances: Tensor) -> Tensor:
    r"""Return the probability that two probes of as many other images agree on the best candidate of each neuron.

    Over probes drawn from the images of this one, the leads of the best candidate are taken as normal around those
    that were measured, with the covariance of the jackknife: what a bootstrap over images would find, without drawing
    one. With :math:`p_c` the share of such probes in which candidate :math:`c` has the highest quality, two agree with
    probability

    .. math:: \sum_c p_c^2

    which is 1 where one candidate is far ahead and :math:`1 / C` where :math:`C` have exactly the same quality and
    nothing in common. The best is meant in quality, as for the contenders: the label may be another where the
    similarity that ranks labels orders candidates differently. Like any bootstrap it takes this probe for all images
    there are, so that true ties look more stable than they are: of two candidates that are equally good 2/3 on average
    instead of 1/2. It asks about the given candidates, of many about the best `MOST_IN_FRONT`; other images may propose
    others.

    The draws are a scrambled Sobol sequence of a fixed seed. A neuron's result does not depend on which other neurons
    are there, to the last bit.

    Args:
        quality: Quality of the candidates, the best first, shape ``(neurons, candidates)``, float64 on the CPU; NaN
            where there is none.
        lead_covariances: Covariances of how far the best is ahead of each, see `jackknife`, shape
            ``(neurons, candidates, candidates)``.

    Returns:
        Shape ``(neurons,)``, float64; NaN where there is no candidate or leaving out an image undoes one.

    Example:
        >>> quality = torch.tensor([[0.5, 0.5], [0.5, 0.1]], dtype=torch.float64)
        >>> covariances = torch.tensor([[0.0, 0.0], [0.0, 0.01]], dtype=torch.float64).expand(2, 2, 2)
        >>> best_stability(quality, covariances).round(decimals=2)
        tensor([0.5000, 1.0000], dtype=torch.float64)

    References:
        Efron and Tibshirani, An introduction to the bootstrap, 1993, chapters 11 and 20. Joe and Kuo, Constructing
        Sobol sequences with better two-dimensional projections, 2008.

    """
    found = torch.full(quality.shape[:1], torch.nan, dtype=torch.float64)
    there = quality.isfinite()
    known = there.any(dim=1) & (lead_covariances.diagonal(dim1=1, dim2=2).isfinite() | ~there).all(dim=1)
    if not known.any():
        return found
    behind = (quality[known, 1:].nan_to_num(nan=-torch.inf) - quality[known, :1]).numpy()
    covariances = lead_covariances[known, 1:, 1:].nan_to_num().numpy()
    draws = _normal_draws(behind.shape[1])
    stability = np.empty(len(behind))

    def fill(part: slice) -> None:
        wins = _wins(behind[part], _root(covariances[part]), draws)
        stability[part] = np.square(wins / DRAWS).sum(axis=0)

    run_in_threads(fill, len(behind), _NEURONS_AT_ONCE)
    found[known] = torch.from_numpy(stability)
    return found


@cache
def _normal_draws(dimensions: int) -> Array:
    """Return independent standard normal numbers, evenly spread, shape ``(dimensions, DRAWS)``, float64."""
    if not dimensions:
        return np.empty((0, DRAWS))
    engine = torch.quasirandom.SobolEngine(dimensions, scramble=True, seed=0)  # type: ignore[no-untyped-call]
    least = 1 / (2 * DRAWS**2)
    draws: Tensor = torch.special.ndtri(engine.draw(DRAWS, dtype=torch.float64).clamp(least, 1 - least))
    return draws.T.contiguous().numpy()


def _root(covariances: Array) -> list[list[Array]]:
    """Return the rows of the Cholesky factors, each number of shape ``(neurons,)``; leads that never move are zero.

    Sums are written out, since those of a library may depend on how many matrices there are.
    """
    root: list[list[Array]] = []
    for place in range(covariances.shape[1]):
        row: list[Array] = []
        for column, above in enumerate(root):
            rest, pivot = _less(covariances[:, place, column], row, above), above[column]
            row.append(np.divide(rest, pivot, out=np.zeros_like(rest), where=pivot > 0))
        variance = covariances[:, place, place]
        rest = _less(variance, row, row)
        row.append(np.sqrt(np.where(rest > _LEAST_PIVOT * variance, rest, 0)))
        root.append(row)
    return root


def _less(value: Array, ones: Iterable[Array], others: Iterable[Array]) -> Array:
    """Take the products of numbers with others away from a value, as many as there are of both."""
    for one, other in zip(ones, others, strict=False):
        value = value - one * other
    return value


def _wins(behind: Array, root: list[list[Array]], draws: Array) -> Array:
    """Count the draws in which each candidate is the best; of several the first.

    Args:
        behind: How far each candidate but the first is from the first, shape ``(neurons, candidates - 1)``; minus
            infinity if there is none.
        root: What `_root` returns of them.
        draws: Shape ``(candidates - 1, DRAWS)``.

    Returns:
        Shape ``(candidates, neurons)``, integers.

    """
    best = np.zeros((len(behind), DRAWS))
    winner = np.zeros(best.shape, np.uint8)
    for place, row in enumerate(root):
        value = _less(behind[:, place, None], [factor[:, None] for factor in row], draws)
        winner[value > best] = place + 1
        np.maximum(best, value, out=best)
    return np.stack([np.count_nonzero(winner == candidate, axis=1) for candidate in range(len(root) + 1)])
