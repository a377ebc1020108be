"""Agreement of two judges in one number, for one confusion table or for many at once.

All take counts of shape ``(..., 4)`` in the order of `ConfusionTable` and return shape ``(...)``, NaN where undefined.
"""

from collections.abc import Callable, Mapping

import numpy as np

from lightning_dissect.agreement.confusion import Numbers

Statistic = Callable[[Numbers], Numbers]


def agreement_rate(counts: Numbers) -> Numbers:
    r"""Share of the labels on which two judges say the same, also called observed agreement.

    .. math:: p_o = \frac{a + d}{a + b + c + d}

    with :math:`a` labels to which both say yes, :math:`b` and :math:`c` to which one does, :math:`d` to which neither
    does. It does not know chance: where people say yes to 65 % of the labels, a judge who always says yes reaches 0.65.

    The numbers that CLIP-Dissect's automatic evaluation publishes as an intersection over union with people are
    agreement rates: those of BLIP-2 and of embedding similarity are whole counts over 256, 512, 1,024 and 2,048
    neurons, and their overall values are the rates over all 3,840.

    Args:
        counts: Shape ``(..., 4)``.

    Returns:
        Values in ``[0, 1]``, NaN where there is no label.

    Example:
        >>> agreement_rate(np.array([6.0, 1.0, 1.0, 2.0]))
        np.float64(0.8)

    """
    return _ratio(counts[..., 0] + counts[..., 3], counts.sum(axis=-1))


def intersection_over_union(counts: Numbers) -> Numbers:
    r"""Labels to which both judges say yes, of those to which at least one does.

    .. math:: \frac{a}{a + b + c}

    It leaves out the labels to which both say no, so it is never above the agreement rate.

    Args:
        counts: Shape ``(..., 4)``.

    Returns:
        Values in ``[0, 1]``, NaN where nobody says yes.

    Example:
        >>> intersection_over_union(np.array([6.0, 1.0, 1.0, 2.0]))
        np.float64(0.75)

    """
    return _ratio(counts[..., 0], counts[..., :3].sum(axis=-1))


def cohen_kappa(counts: Numbers) -> Numbers:
    r"""Cohen's kappa: agreement beyond what the yes-rates of the two judges would give by chance.

    .. math:: \kappa = \frac{p_o - p_e}{1 - p_e}, \qquad p_e = p_1 p_2 + (1 - p_1)(1 - p_2)

    with the yes-rates :math:`p_1, p_2`. A judge who always says the same has 0 with anyone who does not.

    Args:
        counts: Shape ``(..., 4)``.

    Returns:
        Values in ``[-1, 1]``, NaN where there is no label or both judges always give one and the same answer.

    Example:
        >>> cohen_kappa(np.array([20.0, 5.0, 10.0, 15.0]))
        np.float64(0.4)

    References:
        Cohen, A coefficient of agreement for nominal scales, Educational and Psychological Measurement 20, 1960.

    """
    first, second = counts[..., 0] + counts[..., 1], counts[..., 0] + counts[..., 2]
    # Multiplied by the square of the total: whole numbers, so that what is undefined is exactly 0 / 0.
    total = counts.sum(axis=-1)
    chance = first * second + (total - first) * (total - second)
    return _ratio((counts[..., 0] + counts[..., 3]) * total - chance, total**2 - chance)


def gwet_ac1(counts: Numbers) -> Numbers:
    r"""Gwet's AC1: agreement beyond chance where only part of the answers is taken to be guessed.

    .. math:: \mathrm{AC1} = \frac{p_o - p_e}{1 - p_e}, \qquad p_e = 2 \pi (1 - \pi), \quad \pi = \frac{p_1 + p_2}{2}

    Where nearly all labels are right or nearly all are wrong, kappa falls towards 0 although judges hardly ever
    disagree; AC1 does not.

    Args:
        counts: Shape ``(..., 4)``.

    Returns:
        Values in ``[-1, 1]``, NaN where there is no label.

    Example:
        >>> nearly_all_right = np.array([118.0, 5.0, 2.0, 0.0])
        >>> gwet_ac1(nearly_all_right).round(4), cohen_kappa(nearly_all_right).round(4)
        (np.float64(0.9408), np.float64(-0.0234))

    References:
        Gwet, Computing inter-rater reliability and its variance in the presence of high agreement, British Journal of
        Mathematical and Statistical Psychology 61, 2008.

    """
    total = counts.sum(axis=-1)
    yes = 2 * counts[..., 0] + counts[..., 1] + counts[..., 2]
    chance = yes * (2 * total - yes) / 2
    return _ratio((counts[..., 0] + counts[..., 3]) * total - chance, total**2 - chance)


STATISTICS: Mapping[str, Statistic] = {
    "agreement": agreement_rate,
    "iou": intersection_over_union,
    "kappa": cohen_kappa,
    "ac1": gwet_ac1,
}
"""The statistics by the name that tables give them."""


def _ratio(part: Numbers, whole: Numbers) -> Numbers:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.divide(part, whole)
