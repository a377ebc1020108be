"""Tables as people read them in a terminal."""

from collections.abc import Iterable, Sequence
from math import isfinite


def aligned(header: Sequence[str], rows: Iterable[Sequence[str]], texts: int = 1) -> list[str]:
    r"""Return the lines of a table: header, rule, rows.

    Args:
        header: Name of each column.
        rows: Cells, as many per row as there are columns.
        texts: How many of the first columns are set flush left; the others are numbers.

    Example:
        >>> print("\n".join(aligned(["layer", "units"], [["fc", "10"]])))
        layer  units
        ------------
        fc        10

    """
    table = [list(header), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if position < texts else cell.rjust(width)
            for position, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]


def percent(share: float) -> str:
    """Return a share as people read it, a dash where it is undefined.

    Args:
        share: A number from 0 to 1, or NaN.

    Example:
        >>> percent(0.125), percent(float("nan"))
        ('12.5 %', '-')

    """
    return f"{100 * share:.1f} %" if isfinite(share) else "-"


def decimal(number: float, digits: int = 0) -> str:
    """Return a number as people read it, a dash where it is undefined.

    Args:
        number: Any number.
        digits: Digits after the point.

    Example:
        >>> decimal(1234.0), decimal(0.5, 3), decimal(float("nan"))
        ('1,234', '0.500', '-')

    """
    return f"{number:,.{digits}f}" if isfinite(number) else "-"
