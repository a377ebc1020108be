"""Numbers as the data of the page holds them."""

from math import isfinite


def plain_number(value: float) -> float | None:
    """Round to six significant digits; what JSON cannot hold becomes ``None``.

    Example:
        >>> plain_number(2 / 3), plain_number(float("inf"))
        (0.666667, None)

    """
    return float(f"{value:.6g}") if isfinite(value) else None
