"""Watching a run: its history, its curves and its alarms, dissection by dissection."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from lightning_dissect.failures import noting
from lightning_dissect.history.alarms import ALARMS, Alarm, AlarmRule
from lightning_dissect.history.changes import compare
from lightning_dissect.history.curves import RunCurves, Values
from lightning_dissect.history.history import DissectionHistory
from lightning_dissect.types import DissectionReport


@dataclass(frozen=True)
class Observation:
    """What a dissection is to those before it.

    Args:
        values: For all layers together, under "", and for each layer each of `CURVES`; empty if that failed.
        alarms: The alarms that it raises.
        failures: What went wrong in finding out.

    """

    values: Values = field(default_factory=dict)
    alarms: tuple[Alarm, ...] = ()
    failures: tuple[str, ...] = ()


class RunObserver:
    """Keeps the history of a run and says of every dissection what has changed.

    Nothing that goes wrong keeps it from going on: what cannot be written is kept in memory.

    Args:
        alarms: Rules, or names of rules in `ALARMS`.

    Raises:
        ValueError:
            If a name is not known.

    Example:
        >>> report = DissectionReport(0, 0, 0, (), num_images=8)
        >>> RunObserver(["concept_loss"]).observe(report).values[""]["coverage"]
        0.0

    """

    def __init__(self, alarms: Iterable[str | AlarmRule] = ()) -> None:
        self.history = DissectionHistory()
        self._rules = [ALARMS.resolve(alarm) for alarm in alarms]
        self._curves = RunCurves()
        self._dirpath: Path | None = None

    def observe(self, report: DissectionReport) -> Observation:
        """Add a dissection to the history of the folder that it is written to.

        Dissections of the same and of later cycles, which a run has left there that was resumed from an older
        checkpoint, are forgotten.

        Args:
            report: The dissection; only rank 0 has one.

        """
        failures: list[str] = []
        with noting(failures, "The history of the run could not be read."):
            self._open(report.dirpath)
        with noting(failures, "The history of the run could not be written."):
            self.history.append(report)
        values: Values = {}
        alarms: list[Alarm] = []
        with noting(failures, "What has changed could not be measured."):
            values = self._curves.follow(self.history)[-1]
        curves = self._curves.arrays()
        for rule in self._rules if values else ():
            with noting(failures, f"The alarm {type(rule).__name__} failed."):
                alarms += rule.check(self.history, curves)
        return Observation(values, tuple(alarms), tuple(failures))

    def renamed(self) -> frozenset[tuple[str, int]]:
        """Return layer and unit of the neurons with another reliable label than in the dissection before."""
        if len(self.history) < 2:
            return frozenset()
        before, after = self.history[-2], self.history[-1]
        changes = compare(before, after, self.history.embeddings)
        rows = changes.rows_after[changes.renamed]
        return frozenset((after.layers[after.layer[row]], int(after.unit[row])) for row in rows)

    def _open(self, dirpath: Path | None) -> None:
        if dirpath != self._dirpath:
            self._dirpath, self.history = dirpath, DissectionHistory(dirpath)
            self.history.refresh()
