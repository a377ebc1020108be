"""Which unit of one network is which unit of another."""

from dataclasses import dataclass
from math import ceil

import numpy as np
import torch

from lightning_dissect.array_archive import Array
from lightning_dissect.standardise import standardised_columns

CHANCE_QUANTILE = 0.95
"""Of the matches of units that have nothing to do with each other, the share that counts as chance."""

_NULL_PAIRS = 1000
_MOST_DRAWS = 100
_TIE = 1e-6
"""What an equal unit number is worth in correlation: more than rounding, less than anything that is measured."""


@dataclass(frozen=True, eq=False)
class UnitMatching:
    """The units of two networks side by side.

    Args:
        pairs: Units of the first network and of the second, in the order of the first, shape ``(pairs, 2)``, int64.
        correlation: Of the two units of each pair, shape ``(pairs,)``, float32.
        chance: Correlation that 5 % of the pairs exceed where the images of one network are shuffled; NaN where there
            is nothing to match.
        unmatched_first: Units of the first network without a partner, ascending.
        unmatched_second: Units of the second network without a partner, ascending.

    Example:
        >>> matching = UnitMatching(np.array([[0, 1], [1, 0]]), np.array([0.9, 0.1]), 0.3, np.array([]), np.array([]))
        >>> matching.significant.tolist(), matching.significant_share
        ([True, False], 0.5)

    """

    pairs: Array
    correlation: Array
    chance: float
    unmatched_first: Array
    unmatched_second: Array

    @property
    def significant(self) -> Array:
        """Whether each pair correlates more than chance would have it, shape ``(pairs,)``, bool."""
        found: Array = self.correlation > self.chance
        return found

    @property
    def significant_share(self) -> float:
        """Share of the pairs that correlate more than chance would have it, 0.05 for strangers; NaN without pairs."""
        return float(self.significant.mean()) if len(self.pairs) else float("nan")


def match_units(first: Array, second: Array, minimum: float = 0.0, *, seed: int = 0) -> UnitMatching:
    r"""Match the units of two networks one to one by their activations on the same images.

    Of all ways to pair units the one with the largest sum of correlations is taken, found by the Hungarian algorithm.
    A unit and its mirror image, whose correlation is negative, are no pair. Of units that are copies of each other
    those with equal numbers are paired.

    Among many units some agree by chance, the more so the fewer the images. How much is measured: the same matching is
    made once more with the images of the second network shuffled, as often as it takes for 1,000 pairs, at most 100
    times. It is a low bar: units of networks that were not trained agree on bright and on busy images, too.

    Matching 2,048 x 2,048 units on 1,024 images takes about a second on two cores; time grows with the third
    power of the units, memory with the second.

    Args:
        first: Activations of the first network, shape ``(images, units_a)``, any real dtype.
        second: Activations of the second network on the same images, shape ``(images, units_b)``.
        minimum: Least correlation of a pair.
        seed: Seed of the shuffling.

    Returns:
        The matching. Units whose activation is the same on all images, or not finite on one, have no partner.

    Raises:
        ValueError:
            If the activations are not 2-D or of different numbers of images.

    Example:
        >>> images = np.random.default_rng(0).normal(size=(64, 4))
        >>> matching = match_units(images, images[:, [2, 0, 3, 1]])
        >>> matching.pairs.tolist()
        [[0, 1], [1, 3], [2, 0], [3, 2]]
        >>> matching.significant_share
        1.0

    References:
        Li et al., Convergent Learning: Do Different Neural Networks Learn the Same Representations?, ICLR 2016.
        https://arxiv.org/abs/1511.07543

    """
    for name, activations in (("first", first), ("second", second)):
        if activations.ndim != 2:
            raise ValueError(f"Expected `{name}` to have shape (images, units) but got {activations.shape}.")
    if len(first) != len(second):
        raise ValueError(
            "Expected `first` and `second` to have the same images in the same order "
            f"but got {len(first)} and {len(second)} images."
        )
    units, columns = _usable(first)
    other_units, other_columns = _usable(second)
    ours, theirs, correlation = _assign(columns, other_columns, units, other_units)
    kept = correlation >= minimum
    pairs = np.stack([units[ours[kept]], other_units[theirs[kept]]], axis=1)
    return UnitMatching(
        pairs=pairs,
        correlation=correlation[kept],
        chance=_chance(columns, other_columns, units, other_units, seed),
        unmatched_first=np.setdiff1d(np.arange(first.shape[1]), pairs[:, 0]),
        unmatched_second=np.setdiff1d(np.arange(second.shape[1]), pairs[:, 1]),
    )


def _usable(activations: Array) -> tuple[Array, Array]:
    """Return the units that vary and are finite, and their standardised activations in float32."""
    if not activations.size:
        return np.empty(0, np.int64), np.empty((len(activations), 0), np.float32)
    columns = standardised_columns(torch.tensor(activations)).to(torch.float32).numpy()
    units = np.flatnonzero(np.isfinite(columns).all(axis=0))
    return units, columns[:, units]


def _assign(columns: Array, others: Array, units: Array, other_units: Array) -> tuple[Array, Array, Array]:
    """Return the places of the partners among the columns, ascending in the first, and their correlations."""
    from scipy.optimize import linear_sum_assignment

    correlation = columns.T @ others
    _, ours, theirs = np.intersect1d(units, other_units, assume_unique=True, return_indices=True)
    correlation[ours, theirs] += _TIE
    ours, theirs = linear_sum_assignment(correlation, maximize=True)
    found = correlation[ours, theirs] - np.float32(_TIE) * (units[ours] == other_units[theirs])
    return ours, theirs, np.clip(found, -1, 1)


def _chance(columns: Array, others: Array, units: Array, other_units: Array, seed: int) -> float:
    """Return the quantile of the correlations of pairs whose images do not belong together."""
    smaller = min(len(units), len(other_units))
    if not smaller:
        return float("nan")
    generator = np.random.default_rng(seed)
    draws = min(ceil(_NULL_PAIRS / smaller), _MOST_DRAWS)
    shuffled = (others[generator.permutation(len(others))] for _ in range(draws))
    found = [_assign(columns, images, units, other_units)[2] for images in shuffled]
    return float(np.quantile(np.concatenate(found), CHANCE_QUANTILE))
