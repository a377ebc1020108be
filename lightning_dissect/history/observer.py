"""Watching a run: its history, its curves and its alarms, dissection by dissection."""

import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lightning_dissect.history.alarms import ALARMS, Alarm, AlarmRule
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
        with _noting(failures, "The history of the run could not be read."):
            self._open(report.dirpath)
        with _noting(failures, "The history of the run could not be written."):
            self.history.append(report)
        values: Values = {}
        alarms: list[Alarm] = []
        with _noting(failures, "What has changed could not be measured."):
            values = self._curves.follow(self.history)[-1]
        curves = self._curves.arrays()
        for rule in self._rules if values else ():
            with _noting(failures, f"The alarm {type(rule).__name__} failed."):
                alarms += rule.check(self.history, curves)
        return Observation(values, tuple(alarms), tuple(failures))

    def _open(self, dirpath: Path | None) -> None:
        if dirpath != self._dirpath:
            self._dirpath, self.history = dirpath, DissectionHistory(dirpath)
            self.history.refresh()


@contextmanager
def _noting(failures: list[str], message: str) -> Iterator[None]:
    try:
        yield
    except Exception:  # noqa: BLE001
        failures.append(f"{message}\n{traceback.format_exc()}")
