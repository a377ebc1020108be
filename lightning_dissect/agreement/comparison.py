"""Every judge of labels against every other, per layer and overall."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any

from lightning_dissect.agreement.comparison_plot import draw_comparison, draw_kappa_matrix
from lightning_dissect.agreement.confusion import ConfusionTable
from lightning_dissect.agreement.intervals import Estimate, estimates
from lightning_dissect.agreement.statistics import STATISTICS
from lightning_dissect.agreement.verdicts import Verdicts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OVERALL = "all layers"
MODEL = "(model)"
"""What tables call the layer whose name is empty: the model itself."""

_HEADS = {"agreement": "agreement", "iou": "IoU", "kappa": "kappa", "ac1": "AC1"}


@dataclass(frozen=True)
class PairAgreement:
    """Two judges on the labels that both have a verdict on.

    Args:
        first: Name of the first judge.
        second: Name of the second judge.
        layer: Full module name of the layer; ``None`` for all layers together.
        table: What the two say.
        estimates: Agreement, intersection over union, kappa and AC1 with intervals, by the names in `STATISTICS`.

    """

    first: str
    second: str
    layer: str | None
    table: ConfusionTable
    estimates: Mapping[str, Estimate]

    @property
    def always_yes(self) -> float:
        """Agreement and intersection over union that a judge who always says yes would have with the first one."""
        return self.table.first_yes_rate

    @property
    def place(self) -> str:
        """The layer as tables call it."""
        return OVERALL if self.layer is None else self.layer or MODEL


@dataclass(frozen=True)
class JudgeComparison:
    """Agreement of every pair of judges.

    Args:
        judges: Names of the judges, the one that the others are held against first.
        pairs: All pairs, first over all layers, then layer by layer.
        seconds: Seconds per neuron by the name of the judge, where known.

    """

    judges: tuple[str, ...]
    pairs: tuple[PairAgreement, ...]
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers in the order in which they first appear."""
        return tuple(dict.fromkeys(pair.layer for pair in self.pairs if pair.layer is not None))

    def of(self, first: str, second: str, layer: str | None = None) -> PairAgreement:
        """Return the agreement of two judges.

        Args:
            first: Name of a judge.
            second: Name of another one that comes after it in `judges`.
            layer: Full module name of the layer; all layers by default.

        Raises:
            ValueError:
                If there is no such pair.

        """
        for pair in self.pairs:
            if (pair.first, pair.second, pair.layer) == (first, second, layer):
                return pair
        raise ValueError(
            f"Expected `first` and `second` to be two of {list(self.judges)} in this order and `layer` one of "
            f"{list(self.layers)} or None but got {first!r}, {second!r} and {layer!r}."
        )

    def rows(self) -> list[dict[str, Any]]:
        """Return the table, one row per pair and layer, with every number in full precision.

        A statistic has its value under its own name and its interval under ``<name>_low`` and ``<name>_high``. Times
        are in ``first_seconds`` and ``second_seconds`` if any is known.
        """
        return [self._row(pair) for pair in self.pairs]

    def to_csv(self) -> str:
        """Return `rows` as CSV; NaN is an empty cell."""
        rows = self.rows()
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            {name: "" if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}
            for row in rows
        )
        return buffer.getvalue()

    def to_markdown(self) -> str:
        """Return the table for people: statistics with intervals, the yes-rates of both judges, the baseline.

        A layer that is the only one has no rows of its own.
        """
        heads = ["layer", "judges", "n", *_HEADS.values(), "yes-rates", "always yes"]
        heads += ["s per neuron"] if self.seconds else []
        lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
        for pair in self.pairs if len(self.layers) > 1 else (pair for pair in self.pairs if pair.layer is None):
            cells = [_escaped(pair.place), f"{_escaped(pair.first)} / {_escaped(pair.second)}", f"{pair.table.total:,}"]
            cells += [_interval(pair.estimates[name]) for name in _HEADS]
            cells += [f"{_decimal(pair.table.first_yes_rate)} / {_decimal(pair.table.second_yes_rate)}"]
            cells += [_decimal(pair.always_yes)]
            if self.seconds:
                cells += [" / ".join(_duration(self._seconds(name)) for name in (pair.first, pair.second))]
            lines.append(f"| {' | '.join(cells)} |")
        return "\n".join(lines)

    def kappa_matrix(self, layer: str | None = None) -> "Figure":
        """Return Cohen's kappa of every pair as a figure; its ``savefig`` writes it to a file.

        Args:
            layer: Full module name of the layer; all layers by default.

        Raises:
            ValueError:
                If there is no such layer.

        """
        pairs = combinations(range(len(self.judges)), 2)
        kappas = {
            (row, column): self.of(self.judges[row], self.judges[column], layer).estimates["kappa"]
            for row, column in pairs
        }
        place = OVERALL if layer is None else layer or MODEL
        return draw_kappa_matrix(self.judges, kappas, f"Cohen's kappa, {place}")

    def figure(self) -> "Figure":
        """Return agreement and kappa of every judge with the first one, per layer, with intervals, as a figure."""
        places = [*self.layers, None] if len(self.layers) > 1 else [None]
        first, *others = self.judges
        return draw_comparison(
            first,
            [OVERALL if layer is None else layer or MODEL for layer in places],
            {
                statistic: {
                    judge: [self.of(first, judge, layer).estimates[statistic] for layer in places] for judge in others
                }
                for statistic in ("agreement", "kappa")
            },
            {judge: [self.of(first, judge, layer).always_yes for layer in places] for judge in others},
        )

    def _row(self, pair: PairAgreement) -> dict[str, Any]:
        row: dict[str, Any] = {"layer": pair.place, "first": pair.first, "second": pair.second, "n": pair.table.total}
        row |= vars(pair.table)
        for name in STATISTICS:
            value, low, high = pair.estimates[name]
            row |= {name: value, f"{name}_low": low, f"{name}_high": high}
        row["first_yes_rate"] = pair.table.first_yes_rate
        row["second_yes_rate"] = pair.table.second_yes_rate
        row["always_yes"] = pair.always_yes
        if self.seconds:
            row |= {"first_seconds": self._seconds(pair.first), "second_seconds": self._seconds(pair.second)}
        return row

    def _seconds(self, judge: str) -> float:
        return self.seconds.get(judge, math.nan)


def compare_judges(
    judges: Mapping[str, Verdicts],
    seconds: Mapping[str, float] | None = None,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> JudgeComparison:
    """Compare every judge with every other, per layer and over all layers.

    Two judges are compared on the labels that both have a verdict on; statistics of fewer than two such labels are NaN.
    Over all layers, neurons count alike, so wide layers weigh more.

    Args:
        judges: What each judge says, by name; the one that the others are held against, people as a rule, first.
        seconds: Seconds per neuron by the name of the judge, for those whose time is known.
        confidence: Nominal coverage of the intervals.
        resamples: Draws of the bootstrap over neurons.
        seed: Seed of these draws.

    Raises:
        ValueError:
            If there are fewer than two judges, or ``seconds`` names one who is not there.

    Example:
        >>> people = {("fc", unit, "cat"): unit < 6 for unit in range(10)}
        >>> machine = {("fc", unit, "cat"): unit < 8 for unit in range(10)}
        >>> comparison = compare_judges({"people": people, "machine": machine}, seconds={"machine": 0.031})
        >>> pair = comparison.of("people", "machine")
        >>> pair.table.total, round(pair.estimates["kappa"].value, 4), pair.always_yes
        (10, 0.5455, 0.6)
        >>> print(comparison.to_markdown().splitlines()[0])
        | layer | judges | n | agreement | IoU | kappa | AC1 | yes-rates | always yes | s per neuron |

    """
    if len(judges) < 2:
        raise ValueError(f"Expected `judges` to hold at least 2 judges but got {list(judges)}.")
    unknown = [name for name in seconds or {} if name not in judges]
    if unknown:
        raise ValueError(f"Expected `seconds` to name only judges of {list(judges)} but got {unknown}.")
    pairs = []
    for layer in (None, *_layers(judges)):
        chosen = {name: _within(verdicts, layer) for name, verdicts in judges.items()}
        for first, second in combinations(judges, 2):
            table = ConfusionTable.of(chosen[first], chosen[second])
            found = estimates(table, confidence, resamples, seed)
            pairs.append(PairAgreement(first, second, layer, table, found))
    return JudgeComparison(tuple(judges), tuple(pairs), dict(seconds or {}))


def _layers(judges: Mapping[str, Verdicts]) -> Sequence[str]:
    return list(dict.fromkeys(layer for verdicts in judges.values() for layer, _, _ in verdicts))


def _within(verdicts: Verdicts, layer: str | None) -> Verdicts:
    return verdicts if layer is None else {key: verdict for key, verdict in verdicts.items() if key[0] == layer}


def _decimal(value: float, digits: int = 3) -> str:
    return "–" if math.isnan(value) else f"{value:.{digits}f}"  # noqa: RUF001 - as in the page of a report


def _interval(estimate: Estimate) -> str:
    if math.isnan(estimate.value):
        return _decimal(estimate.value)
    return f"{_decimal(estimate.value)} ({_decimal(estimate.low, 2)} to {_decimal(estimate.high, 2)})"


def _duration(seconds: float) -> str:
    return _decimal(seconds) if math.isnan(seconds) or seconds < 1 else _decimal(seconds, 2)


def _escaped(name: str) -> str:
    return name.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")
