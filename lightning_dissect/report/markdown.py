"""Tables in Markdown that show any text as it is."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def escape_markdown(text: str) -> str:
    r"""Return a text that Markdown shows as it is, on one line, within a cell of a table.

    Args:
        text: Any text.

    Example:
        >>> escape_markdown("<b> *x*\n|")
        '&#60;b&#62; &#42;x&#42; &#124;'

    """
    return re.sub(r"[^\w\s.,;:'\"/%°-]|_", lambda match: f"&#{ord(match[0])};", " ".join(text.split()))


def markdown_table(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> list[str]:
    r"""Return the lines of a table, escaped; numbers have four digits.

    Args:
        columns: Keys of the rows, in order; underscores are shown as hyphens.
        rows: A cell per column, those of other keys are left out.

    Example:
        >>> print("\n".join(markdown_table(["unit", "mean_quality"], [{"unit": 7, "mean_quality": 1 / 3}])))
        | unit | mean-quality |
        | --- | --- |
        | 7 | 0.3333 |

    """
    lines = [f"| {' | '.join(name.replace('_', '-') for name in columns)} |", f"|{' --- |' * len(columns)}"]
    for row in rows:
        cells = (f"{row[name]:.4g}" if isinstance(row[name], float) else str(row[name]) for name in columns)
        lines.append(f"| {' | '.join(map(escape_markdown, cells))} |")
    return lines
