"""Agreement of judges as figures."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from lightning_dissect.agreement.intervals import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#4f46e5", "#dc6b2f", "#0f9d8a", "#b8409b", "#b7952f", "#5b6272")
"""Colours of the judges; the seventh begins again."""

MARKS = "osD^vP"
INK, SOFT, LINE, GROUND = "#171a21", "#5b6272", "#d5d9e2", "#eef0f4"

_TITLES = {"agreement": "Agreement rate", "kappa": "Cohen's kappa"}
_LONGEST = 26


def draw_kappa_matrix(judges: Sequence[str], kappas: Mapping[tuple[int, int], Estimate], title: str) -> "Figure":
    """Draw the kappa of every pair of judges with its interval, on a ground that is the darker the higher it is.

    Args:
        judges: Names of the judges.
        kappas: Kappa by the places of two judges, the earlier one first; NaN is shown as a dash.
        title: Title of the figure.

    Example:
        >>> kappas = {(0, 1): Estimate(0.4884, 0.46, 0.52)}
        >>> figure = draw_kappa_matrix(["people", "machine"], kappas, "Cohen's kappa")
        >>> [text.get_text() for text in figure.axes[0].texts]
        ['0.49', '0.46 to 0.52', '0.49', '0.46 to 0.52']

    """
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

    size = len(judges)
    names = [_shortened(judge) for judge in judges]
    estimates = {**kappas, **{(second, first): estimate for (first, second), estimate in kappas.items()}}
    values = np.full((size, size), np.nan)
    for place, estimate in estimates.items():
        values[place] = estimate.value
    shades = LinearSegmentedColormap.from_list("kappa", ["#f3f3fb", "#6d66ee"]).with_extremes(bad=GROUND)
    longest = max(map(len, names))
    figure = Figure(figsize=(1.05 * size + 0.075 * longest + 0.3, 0.85 * size + 0.75), layout="constrained", dpi=150)
    axes = figure.add_subplot()
    axes.imshow(values, cmap=shades, vmin=0, vmax=1, aspect="auto")
    axes.set_title(title, loc="left", size=10, color=INK, pad=10)
    axes.set_xticks(range(size), [_wrapped(name) for name in names], size=8, color=INK)
    axes.set_yticks(range(size), names, size=8, color=INK)
    _bare(axes)
    axes.xaxis.tick_top()
    axes.set_xticks(np.arange(size - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(size - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=3)
    for (row, column), estimate in estimates.items():
        ink = "white" if estimate.value > 0.7 else INK
        if math.isnan(estimate.value):
            axes.text(column, row, "–", ha="center", va="center", size=9, color=SOFT)  # noqa: RUF001
            continue
        axes.text(column, row - 0.1, f"{estimate.value:.2f}", ha="center", va="center", size=10, color=ink)
        interval = f"{estimate.low:.2f} to {estimate.high:.2f}"
        axes.text(column, row + 0.22, interval, ha="center", va="center", size=6.5, color=ink)
    return figure


def draw_comparison(
    reference: str,
    places: Sequence[str],
    estimates: Mapping[str, Mapping[str, Sequence[Estimate]]],
    always_yes: Mapping[str, Sequence[float]],
) -> "Figure":
    """Draw agreement and kappa of judges with the same one, side by side, place by place, with intervals.

    A short line beside every agreement shows what a judge who always says yes would reach on the same labels; for kappa
    that is 0.

    Args:
        reference: Name of the judge that all others are held against.
        places: Names of the layers.
        estimates: By statistic (``agreement`` and ``kappa``) and judge one estimate per place; NaN leaves a gap.
        always_yes: By judge the agreement of the one who always says yes, per place.

    Example:
        >>> machine = {"machine": [Estimate(0.8, 0.7, 0.9)]}
        >>> estimates = {"agreement": machine, "kappa": machine}
        >>> figure = draw_comparison("people", ["all layers"], estimates, {"machine": [0.65]})
        >>> [axes.get_title(loc="left") for axes in figure.axes]
        ['Agreement rate with people', "Cohen's kappa with people"]

    """
    from matplotlib.figure import Figure

    wide = min(14.0, max(4.0, 1.4 + len(places) * (0.45 + 0.22 * len(always_yes))))
    figure = Figure(figsize=(wide, 5.4), layout="constrained", dpi=150)
    both = figure.subplots(2, 1, sharex=True)
    for axes, statistic in zip(both, ("agreement", "kappa"), strict=True):
        _draw_judges(axes, estimates[statistic])
        if len(places) > 1:
            axes.axvspan(len(places) - 1.5, len(places) - 0.5, color=GROUND, zorder=0)
        axes.set_title(f"{_TITLES[statistic]} with {_shortened(reference)}", loc="left", size=10, color=INK)
    for number, baselines in enumerate(always_yes.values()):
        x = _positions(number, len(always_yes), len(places))
        label = "always yes" if number == 0 else None
        both[0].hlines(baselines, x - 0.05, x + 0.05, color=INK, linewidth=1.4, label=label, zorder=2)
    both[1].axhline(0, color=INK, linewidth=0.9)
    both[1].set_xticks(range(len(places)), [_wrapped(_shortened(place)) for place in places], size=8, color=INK)
    both[1].set_xlim(-0.5, len(places) - 0.5)
    handles = both[0].get_legend_handles_labels()[0]
    figure.legend(handles=[*handles[1:], handles[0]], loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    return figure


def _draw_judges(axes: "Axes", estimates: Mapping[str, Sequence[Estimate]]) -> None:
    for number, (judge, found) in enumerate(estimates.items()):
        values, low, high = np.array(found, dtype=float).T
        axes.errorbar(
            _positions(number, len(estimates), len(found)),
            values,
            yerr=np.maximum(0, [values - low, high - values]),
            fmt=MARKS[number % len(MARKS)],
            color=COLOURS[number % len(COLOURS)],
            markersize=5,
            elinewidth=1.6,
            label=_shortened(judge),
            zorder=3,
        )
    _bare(axes)
    axes.tick_params(labelsize=8, labelcolor=SOFT)
    axes.grid(axis="y", color=LINE, linewidth=0.7)
    axes.margins(y=0.12)


def _positions(number: int, judges: int, places: int) -> np.ndarray:
    """Return where a judge stands within each place."""
    step = min(0.16, 0.7 / judges)
    return np.arange(places) + step * (number - (judges - 1) / 2)


def _bare(axes: "Axes") -> None:
    axes.spines[:].set_visible(False)
    axes.tick_params(which="both", length=0)


def _shortened(name: str) -> str:
    name = " ".join(name.split()).replace("$", r"\$")
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def _wrapped(name: str) -> str:
    """Break a long name at spaces, underscores and dots."""
    lines = [""]
    for part in name.replace(" ", " \0").replace("_", "_\0").replace(".", ".\0").split("\0"):
        if lines[-1] and len(lines[-1] + part) > 13:
            lines.append("")
        lines[-1] += part
    return "\n".join(line.strip() for line in lines)
