"""The table of the sanity checks: results, verdicts, and what was published beside them."""

import csv
import io
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

from lightning_dissect.metrics.sanity_plot import draw_shares
from lightning_dissect.metrics.sanity_published import CHECKS, PASS_SHARE, Kind, Labels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Verdict = Literal["pass", "fail", "undecided"]

DOUBT = 2.0
"""Standard errors within which a share is not told from the one that decides."""

OTHER_DATA = "The published share is of other networks and images or of other options."


@dataclass(frozen=True)
class SanityResult:
    """How one metric did in one check.

    Args:
        metric: Name of the metric.
        kind: ``"theoretical"`` or ``"experimental"``.
        labels: ``"missing"`` or ``"extra"``.
        frequency: Share of the images that have the concept; ``None`` if it differs between cases.
        share: Share of the cases in which the score fell.
        share_error: Its standard error.
        change: Mean change of the score, relative to the range of the metric.
        change_error: Its standard error.
        cases: Draws of the labels (theoretical) or neurons (experimental) with a defined change.
        undefined: Changes that were undefined and therefore left out.
        published: The share that was published for this metric and check, over all frequencies or settings.
        note: What the published verdict hides or where it does not hold for this form of the metric.

    """

    metric: str
    kind: Kind
    labels: Labels
    frequency: float | None
    share: float
    share_error: float
    change: float
    change_error: float
    cases: int
    undefined: int
    published: float | None = None
    note: str = ""


@dataclass(frozen=True)
class SanityTable:
    """Results of sanity checks; tables of the two kinds add up to one.

    Args:
        results: One per metric and check, for the theoretical check also per frequency.

    Example:
        >>> from lightning_dissect.metrics import theoretical_sanity_check
        >>> table = theoretical_sanity_check(["precision"], images=1000, frequencies=[0.1], draws=5)
        >>> print(table.to_markdown())
        | metric | missing labels, theory | extra labels, theory | verdict | where the published verdict differs |
        |---|---|---|---|---|
        | `precision` | **0.0** (0.0) | 100.0 (100.0) | fail |  |
        >>> SanityTable.from_csv(table.to_csv()) == table
        True

    """

    results: tuple[SanityResult, ...]

    def __add__(self, other: "SanityTable") -> "SanityTable":
        return SanityTable(self.results + other.results)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics in the order of the results."""
        return tuple(dict.fromkeys(result.metric for result in self.results))

    @property
    def checks(self) -> tuple[tuple[Labels, Kind], ...]:
        """What the table holds results of, in the order of the published table."""
        present = {(result.labels, result.kind) for result in self.results}
        return tuple(check for check in CHECKS if check in present)

    def of(self, metric: str, labels: Labels, kind: Kind) -> tuple[SanityResult, ...]:
        """Return the results of one metric in one check.

        Args:
            metric: Name of the metric.
            labels: What was done to the labels.
            kind: Kind of the check.

        """
        return tuple(
            result for result in self.results if (result.metric, result.labels, result.kind) == (metric, labels, kind)
        )

    def share(self, metric: str, labels: Labels, kind: Kind) -> tuple[float, float]:
        """Return the share of the cases in which the score fell, in the mean over frequencies, and its standard error.

        Frequencies at which fewer than two cases are defined are left out, unless there is no other.

        Args:
            metric: Name of the metric.
            labels: What was done to the labels.
            kind: Kind of the check.

        """
        every = self.of(metric, labels, kind)
        if not every:
            return math.nan, math.nan
        results = [result for result in every if not math.isnan(result.share_error)] or every
        error = math.sqrt(sum(result.share_error**2 for result in results))
        return sum(result.share for result in results) / len(results), error / len(results)

    def published(self, metric: str, labels: Labels, kind: Kind) -> float | None:
        """Return the published share, ``None`` if there is none.

        Args:
            metric: Name of the metric.
            labels: What was done to the labels.
            kind: Kind of the check.

        """
        return next((result.published for result in self.of(metric, labels, kind)), None)

    def verdict(self, metric: str, kind: Kind | None = None) -> Verdict:
        """Return whether a metric passes.

        It passes a check if its score falls in more than 90 % of the cases; it is undecided if 90 % lies within two
        standard errors of that share. It must pass all checks that the table holds of it.

        Args:
            metric: Name of the metric.
            kind: Kind of the checks that count; both by default.

        Raises:
            ValueError:
                If the table holds no such check of the metric.

        """
        verdicts = {_verdict(*self.share(metric, *check)) for check in self._checks_of(metric, kind)}
        return next((verdict for verdict in _WORST_FIRST if verdict in verdicts), "pass")

    def passing(self, kind: Kind | None = None) -> tuple[str, ...]:
        """Return the metrics that pass.

        Args:
            kind: Kind of the checks that count; both by default.

        """
        return tuple(metric for metric in self.metrics if self.verdict(metric, kind) == "pass")

    def published_verdict(self, metric: str, kind: Kind | None = None) -> Verdict | None:
        """Return whether a metric passes by its published shares, ``None`` if one of them is missing.

        Args:
            metric: Name of the metric.
            kind: Kind of the checks that count; both by default.

        Raises:
            ValueError:
                If the table holds no such check of the metric.

        """
        shares = [self.published(metric, *check) for check in self._checks_of(metric, kind)]
        known = [share for share in shares if share is not None]
        if len(known) < len(shares):
            return None
        return "pass" if all(share > PASS_SHARE for share in known) else "fail"

    def note(self, metric: str) -> str:
        """Return why the verdict on a metric is not the published one; empty if it is, or if none was published.

        Args:
            metric: Name of the metric.

        Raises:
            ValueError:
                If the table holds no result of the metric.

        """
        published = self.published_verdict(metric)
        if published in {None, self.verdict(metric)}:
            return ""
        notes = (result.note for result in self.results if result.metric == metric and published == "fail")
        return next(notes, "") or OTHER_DATA

    def to_csv(self) -> str:
        """Return all results, one per line, in full precision; `from_csv` reads them."""
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, [field.name for field in fields(SanityResult)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(result) for result in self.results)
        return buffer.getvalue()

    @classmethod
    def from_csv(cls, text: str) -> "SanityTable":
        """Return the table that `to_csv` wrote.

        Args:
            text: What `to_csv` returned.

        Raises:
            ValueError:
                If the columns are others.

        """
        reader = csv.DictReader(io.StringIO(text))
        if list(reader.fieldnames or ()) != list(_READ):
            raise ValueError(f"Expected `text` to have the columns {list(_READ)} but got {reader.fieldnames}.")
        return cls(tuple(SanityResult(**{name: _READ[name](value) for name, value in row.items()}) for row in reader))

    def to_markdown(self) -> str:
        """Return the table in the form of the published one: one row per metric, shares in percent.

        The published share is in parentheses. What is not clearly above 90 % is bold.
        """
        heads = ["metric", *(_head(*check) for check in self.checks), "verdict", "where the published verdict differs"]
        lines = [heads, ["---"] * len(heads)]
        for metric in self.metrics:
            cells = [self._cell(metric, *check) for check in self.checks]
            lines.append([f"`{metric}`", *cells, self.verdict(metric), self.note(metric)])
        return "\n".join(
            "|" + "|".join(line) + "|" if line[0] == "---" else f"| {' | '.join(line)} |" for line in lines
        )

    def figure(self) -> "Figure":
        """Return the table as a figure, coloured by verdict; its ``savefig`` writes it to a file."""
        return draw_shares(
            self.metrics,
            [_head(*check) for check in self.checks],
            [[self.share(metric, *check)[0] for check in self.checks] for metric in self.metrics],
            [[_verdict(*self.share(metric, *check)) for check in self.checks] for metric in self.metrics],
            [self.verdict(metric) for metric in self.metrics],
        )

    def _checks_of(self, metric: str, kind: Kind | None) -> list[tuple[Labels, Kind]]:
        checks = [check for check in self.checks if kind in {None, check[1]} and self.of(metric, *check)]
        if not checks:
            raise ValueError(
                f"Expected `metric` to be one of {list(self.metrics)} and to have {kind or 'any'} results "
                f"but got {metric!r}."
            )
        return checks

    def _cell(self, metric: str, labels: Labels, kind: Kind) -> str:
        share, error = self.share(metric, labels, kind)
        if not self.of(metric, labels, kind):
            return ""
        text = f"{share:.1%}".removesuffix("%")
        if error:
            text += f" ± {error:.1%}".removesuffix("%")
        if _verdict(share, error) != "pass":
            text = f"**{text}**"
        published = self.published(metric, labels, kind)
        return text if published is None else f"{text} ({100 * published:.1f})"


def _verdict(share: float, error: float) -> Verdict:
    if share - DOUBT * error > PASS_SHARE:
        return "pass"
    return "fail" if share + DOUBT * error <= PASS_SHARE else "undecided"


def _head(labels: Labels, kind: Kind) -> str:
    return f"{labels} labels, {'theory' if kind == 'theoretical' else 'experiment'}"


def _optional(text: str) -> float | None:
    return float(text) if text else None


_WORST_FIRST: tuple[Verdict, ...] = ("fail", "undecided")

_READ: dict[str, Callable[[str], Any]] = {
    "metric": str,
    "kind": str,
    "labels": str,
    "frequency": _optional,
    "share": float,
    "share_error": float,
    "change": float,
    "change_error": float,
    "cases": int,
    "undefined": int,
    "published": _optional,
    "note": str,
}
"""How each column is read."""
