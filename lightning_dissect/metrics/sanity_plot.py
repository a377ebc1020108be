"""The table of the sanity checks as a figure."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS: Mapping[str, str] = {"pass": "#d5ecd9", "fail": "#f6cdc9", "undecided": "#fbe9b7"}
"""Ground of a cell by verdict: green, red and yellow light enough for black figures."""

CELL_INCHES = (1.25, 0.27)
"""Width and height of a cell."""


def draw_shares(
    metrics: Sequence[str],
    heads: Sequence[str],
    shares: Sequence[Sequence[float]],
    colours: Sequence[Sequence[str]],
    verdicts: Sequence[str],
) -> "Figure":
    """Draw one row per metric: its name, the share in percent of each check, and its verdict.

    Args:
        metrics: Names of the rows.
        heads: Names of the checks; what follows a comma goes to a second line.
        shares: Share of the cases in which the score fell, by metric and check; NaN leaves the cell empty.
        colours: Verdict by metric and check, a key of `COLOURS`.
        verdicts: Verdict by metric.

    Example:
        >>> heads = ["missing labels", "extra labels"]
        >>> figure = draw_shares(["auc"], heads, [[1.0, 0.6]], [["pass", "fail"]], ["fail"])
        >>> [text.get_text() for text in figure.axes[0].texts]
        ['missing labels', 'extra labels', 'verdict', 'auc', '100.0', '60.0', 'fail']

    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    first = 2.2
    columns = first + len(heads) + 1
    figure = Figure(figsize=(columns * CELL_INCHES[0], (len(metrics) + 2) * CELL_INCHES[1]), layout="tight", dpi=150)
    axes = figure.add_subplot()
    axes.set(xlim=(0, columns), ylim=(len(metrics), -1.6))
    axes.axis("off")
    axes.set_title("Share of the cases in which the score falls, in percent", loc="left", size=9)
    for column, head in enumerate([*heads, "verdict"]):
        axes.text(first + column + 0.5, -0.8, head.replace(", ", "\n"), ha="center", va="center", weight="bold", size=8)
    for row, metric in enumerate(metrics):
        axes.text(0.05, row + 0.5, metric, va="center", family="monospace", size=8)
        cells = zip([f"{100 * share:.1f}" for share in shares[row]], colours[row], strict=True)
        shown = [cell for cell, share in zip(cells, shares[row], strict=True) if not math.isnan(share)]
        places = [column for column, share in enumerate(shares[row]) if not math.isnan(share)]
        for column, (text, colour) in zip([*places, len(heads)], [*shown, (verdicts[row], verdicts[row])], strict=True):
            ground = Rectangle((first + column + 0.02, row + 0.04), 0.96, 0.92, color=COLOURS[colour], linewidth=0)
            axes.add_patch(ground)
            axes.text(first + column + 0.5, row + 0.5, text, ha="center", va="center", size=8)
    return figure
