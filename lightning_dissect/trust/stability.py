"""Whether other images would find the same of a neuron's candidates the best."""

from functools import cache

import torch
from torch import Tensor

DRAWS = 1024
"""Probes that are imagined, the same for every neuron."""

_LEAST_PIVOT = 1e-12
"""Share of a lead's variance below which what the leads before it leave of it is rounding."""

_NEURONS_AT_ONCE = 256
"""So few that what is drawn for them takes a few megabytes."""


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
        quality: Quality of the candidates, the best first, shape ``(neurons, candidates)``, float64; NaN where there is
            none.
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
    stability = quality.new_full(quality.shape[:1], torch.nan)
    there = quality.isfinite()
    known = there.any(dim=1) & (lead_covariances.diagonal(dim1=1, dim2=2).isfinite() | ~there).all(dim=1)
    for rows in torch.split(known.nonzero().flatten(), _NEURONS_AT_ONCE) if known.any() else ():
        behind = quality[rows, 1:].nan_to_num(nan=-torch.inf) - quality[rows, :1]
        wins = _wins(behind, _root(lead_covariances[rows, 1:, 1:].nan_to_num()))
        stability[rows] = (wins.double() / DRAWS).square().sum(dim=1)
    return stability


@cache
def _normal_draws(dimensions: int) -> Tensor:
    """Return independent standard normal numbers, evenly spread, shape ``(dimensions, DRAWS)``, float64."""
    engine = torch.quasirandom.SobolEngine(dimensions, scramble=True, seed=0)  # type: ignore[no-untyped-call]
    least = 1 / (2 * DRAWS**2)
    draws: Tensor = torch.special.ndtri(engine.draw(DRAWS, dtype=torch.float64).clamp(least, 1 - least))
    return draws.T.contiguous()


def _root(covariances: Tensor) -> list[list[Tensor]]:
    """Return the rows of the Cholesky factors, each number of shape ``(neurons,)``; leads that never move are zero.

    Sums are written out, since those of a library may depend on how many matrices there are.
    """
    root: list[list[Tensor]] = []
    for place in range(covariances.shape[1]):
        row: list[Tensor] = []
        for column, above in enumerate(root):
            rest = _less(covariances[:, place, column], row, above[:column])
            pivot = above[column]
            row.append(torch.where(pivot > 0, rest / pivot.where(pivot > 0, 1), 0))
        variance = covariances[:, place, place]
        rest = _less(variance, row, row)
        row.append(rest.where(rest > _LEAST_PIVOT * variance, 0).sqrt())
        root.append(row)
    return root


def _less(value: Tensor, ones: list[Tensor], others: list[Tensor]) -> Tensor:
    """Take the products of some numbers with others away from a value."""
    for one, other in zip(ones, others, strict=True):
        value = value - one * other
    return value


def _wins(behind: Tensor, root: list[list[Tensor]]) -> Tensor:
    """Count the draws in which each candidate is the best; of several the first.

    Args:
        behind: How far each candidate but the first is from the first, shape ``(neurons, candidates - 1)``; minus
            infinity if there is none.
        root: What `_root` returns of them.

    Returns:
        Shape ``(neurons, candidates)``, int64.

    """
    best = behind.new_zeros(len(behind), DRAWS)
    winner = torch.zeros_like(best, dtype=torch.uint8)
    draws = _normal_draws(len(root)) if root else best[:0]
    for place, row in enumerate(root):
        value = behind[:, place, None].expand_as(best)
        for factor, draw in zip(row, draws, strict=False):
            value = value - factor[:, None] * draw
        winner.masked_fill_(value > best, place + 1)
        best = torch.maximum(best, value)
    return torch.stack([(winner == candidate).sum(dim=1) for candidate in range(len(root) + 1)], dim=1)
