"""Numbers in JSON, which knows only finite ones."""

import math


def json_value(number: float) -> float | str | None:
    """Return a number as a file holds it: NaN as ``None``, infinite numbers as the texts that Python reads.

    Example:
        >>> [json_value(number) for number in (0.5, math.nan, -math.inf)]
        [0.5, None, '-Infinity']

    """
    number = float(number)
    if math.isnan(number):
        return None
    return number if math.isfinite(number) else ("Infinity" if number > 0 else "-Infinity")


def json_number(value: float | str | None) -> float:
    """Return the number that `json_value` was given.

    Example:
        >>> [json_number(value) for value in (0.5, None, "-Infinity")]
        [0.5, nan, -inf]

    """
    return math.nan if value is None else float(value)
