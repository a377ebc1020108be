"""How templates of pages show numbers and names."""

import math
import re
from collections.abc import Callable
from typing import Any

from markupsafe import Markup

NOTHING = "\N{EN DASH}"


def decimal(value: float, digits: int = 3) -> str:
    """Show a number with so many digits after the point.

    Example:
        >>> decimal(2 / 3)
        '0.667'

    """
    return f"{value:.{digits}f}" if math.isfinite(value) else NOTHING


def signed(value: float, digits: int = 3) -> str:
    """Show a difference with its sign.

    Example:
        >>> signed(0.25), signed(-0.25) == "\N{MINUS SIGN}0.250"
        ('+0.250', True)

    """
    return f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}") if math.isfinite(value) else NOTHING


def share(value: float) -> str:
    """Show a part of 1.

    Example:
        >>> share(0.251)
        '25 %'

    """
    return f"{100 * value:.0f} %" if math.isfinite(value) else NOTHING


def whole(value: float) -> str:
    """Show a number without what comes after the point.

    Example:
        >>> whole(12500.0)
        '12,500'

    """
    return f"{int(value):,}"


def breakable(name: str) -> Markup:
    """Let a name break after its dots and underscores.

    Example:
        >>> str(breakable("layer.<b>"))
        'layer.<wbr>&lt;b&gt;'

    """
    return Markup("<wbr>").join(re.split(r"(?<=[._])", name))


def percent(part: float, total: float) -> str:
    """Return a part as a length or a share.

    Example:
        >>> percent(1, 8), percent(1, 0)
        ('12.5%', '0%')

    """
    return f"{100 * part / total:.1f}%" if total else "0%"


FILTERS: dict[str, Callable[..., Any]] = {
    "breakable": breakable,
    "decimal": decimal,
    "share": share,
    "signed": signed,
    "whole": whole,
}
"""What every page's template has beside Jinja's own."""
