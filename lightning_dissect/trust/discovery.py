"""False discoveries: from p-values of many neurons to those that hold together."""

import torch
from torch import Tensor


def false_discovery_q_values(p_values: Tensor) -> Tensor:
    r"""Return the q-value of every neuron: the lowest false-discovery rate at which it would still be called.

    .. math:: q_{(i)} = \min_{j \ge i} \; \min\left(1, \frac{n}{j} p_{(j)}\right)

    Calling all neurons with ``q <= 0.05`` makes at most 5 % of the calls false in the mean, for p-values that are
    independent or positively dependent.

    Args:
        p_values: Shape ``(neurons,)``; a neuron without one is NaN, stays so and is not counted.

    Returns:
        Shape ``(neurons,)``, float64.

    Example:
        >>> false_discovery_q_values(torch.tensor([0.01, 0.9, 0.02, float("nan")], dtype=torch.float64))
        tensor([0.0300, 0.9000, 0.0300,    nan], dtype=torch.float64)

    References:
        Benjamini and Hochberg, Controlling the false discovery rate, 1995, procedure (1).

    """
    q_values = torch.full_like(p_values, torch.nan, dtype=torch.float64)
    present = p_values.isfinite()
    ascending, order = p_values[present].to(torch.float64).sort()
    ranks = torch.arange(1, len(order) + 1, dtype=torch.float64, device=order.device)
    steps = (ascending * (len(order) / ranks)).clamp_(max=1).flip(0)
    lowest = steps.cummin(dim=0).values.flip(0) if len(steps) else steps
    q_values[present] = torch.empty_like(lowest).scatter_(0, order, lowest)
    return q_values


def exceedance_p_values(statistics: Tensor, null: Tensor) -> Tensor:
    r"""Return exact p-values from a sample of the null.

    .. math:: p = (1 + \#\{\text{null} \ge t\}) / (1 + \#\text{null})

    Args:
        statistics: Shape ``(neurons,)``; NaN gets the p-value 1.
        null: Statistics under the null, shape ``(draws,)``, finite.

    Returns:
        Shape ``(neurons,)``, float64, in ``(0, 1]``.

    Example:
        >>> exceedance_p_values(torch.tensor([5.0, 2.0]), torch.tensor([1.0, 2.0, 3.0]))
        tensor([0.2500, 0.7500], dtype=torch.float64)

    """
    ascending = null.sort().values
    below = torch.searchsorted(ascending, statistics.nan_to_num(nan=-torch.inf).contiguous())
    return (1 + len(null) - below).to(torch.float64) / (1 + len(null))
