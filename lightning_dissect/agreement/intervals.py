"""How far agreement would move with other neurons: bootstrap intervals from counts alone."""

from collections.abc import Mapping
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from lightning_dissect.agreement.confusion import ConfusionTable, Numbers
from lightning_dissect.agreement.statistics import STATISTICS, Statistic

_NORMAL = NormalDist()
_SMALL = 1e-9


class Estimate(NamedTuple):
    """A number and where it lies.

    Args:
        value: The number; NaN where undefined.
        low: Lower end of its interval; NaN where undefined.
        high: Upper end.

    """

    value: float
    low: float
    high: float


UNDEFINED = Estimate(float("nan"), float("nan"), float("nan"))


def estimates(
    table: ConfusionTable,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
    statistics: Mapping[str, Statistic] = STATISTICS,
) -> dict[str, Estimate]:
    r"""Return agreement statistics with bias-corrected and accelerated bootstrap intervals over neurons.

    Drawing neurons again with replacement changes the four counts of the table only, and these are then multinomial:
    so the bootstrap needs no verdicts and costs the same for ten neurons as for a million. The acceleration comes from
    leaving out one neuron at a time, of which there are at most four kinds. Resamples in which a statistic is undefined
    do not count.

    Intervals cover what they should from about 30 labels on, with one exception: where all but one or two labels are
    right by both judges, that of kappa, which then hangs on these, covers too seldom. The interval of a sample without
    any disagreement has no width: no resample can show what the sample does not.

    Args:
        table: What the two judges say.
        confidence: Nominal coverage of the intervals.
        resamples: How often the neurons are drawn again.
        seed: Seed of these draws.
        statistics: What is estimated, by name.

    Returns:
        An estimate by the name of the statistic, NaN where the statistic is undefined or there are fewer than 2 labels.

    Raises:
        ValueError:
            If ``confidence`` is not between 0 and 1 or ``resamples`` is not positive.

    Example:
        >>> kappa = estimates(ConfusionTable(20, 5, 10, 15))["kappa"]
        >>> [round(number, 2) for number in kappa]
        [0.4, 0.13, 0.64]

    References:
        Efron, Better bootstrap confidence intervals, Journal of the American Statistical Association 82, 1987.

    """
    if not 0 < confidence < 1:
        raise ValueError(f"Expected `confidence` to be between 0 and 1 but got {confidence}.")
    if resamples < 1:
        raise ValueError(f"Expected `resamples` to be at least 1 but got {resamples}.")
    if table.total < 2:
        return dict.fromkeys(statistics, UNDEFINED)
    counts = table.counts
    drawn = np.random.default_rng(seed).multinomial(table.total, counts / table.total, size=resamples).astype(float)
    return {name: _estimate(counts, drawn, statistic, confidence) for name, statistic in statistics.items()}


def _estimate(counts: Numbers, drawn: Numbers, statistic: Statistic, confidence: float) -> Estimate:
    value = float(statistic(counts))
    found = statistic(drawn)
    found = found[np.isfinite(found)]
    if not np.isfinite(value) or not found.size:
        return UNDEFINED
    below = float(np.mean(found < value) + np.mean(found <= value)) / 2
    # Where all resamples lie on one side the correction is infinite and both ends are the outermost resample.
    shift = _NORMAL.inv_cdf(min(max(below, 0.5 / found.size), 1 - 0.5 / found.size))
    acceleration = _acceleration(counts, statistic)
    levels = []
    for tail in ((1 - confidence) / 2, (1 + confidence) / 2):
        moved = shift + _NORMAL.inv_cdf(tail)
        levels.append(_NORMAL.cdf(shift + moved / max(1 - acceleration * moved, _SMALL)))
    low, high = np.quantile(found, levels)
    return Estimate(value, float(low), float(high))


def _acceleration(counts: Numbers, statistic: Statistic) -> float:
    """Return the skewness of the influence of single neurons over 6, from the jackknife."""
    without = statistic(counts - np.eye(4))
    present = (counts > 0) & np.isfinite(without)
    weights, values = counts[present], without[present]
    influence = np.average(values, weights=weights) - values if weights.size else values
    squares = float(weights @ influence**2)
    return float(weights @ influence**3) / (6 * squares**1.5) if squares > 0 else 0.0
