"""The labels that are new or changed, as one growing table in Weights & Biases."""

from dataclasses import dataclass
from typing import Any

from typing_extensions import Self

from lightning_dissect.history import DissectionHistory, Snapshot
from lightning_dissect.report.change_rows import CHANGE_COLUMNS, change_rows
from lightning_dissect.types import DissectionReport

_COLUMN_TYPES = {"epoch": int, "step": int, "unit": int, "quality": float}
"""Types of columns that are not texts."""


@dataclass
class _Kept:
    table: Any
    last: Snapshot | None = None


class LabelHistoryTables:
    """The growing tables of a process, one for each run and name of reports.

    Each is a ``wandb.Table`` that logs only the rows added since it was last logged. W&B continues the table of a run
    that is resumed; what the labels were before comes from the history on disk, so that the first dissection after a
    resume adds its changes only. Whoever copies or pickles this gets an empty one: a run belongs to its process.

    Example:
        >>> class Run: ...
        >>> run, report = Run(), DissectionReport(epoch=0, step=0, cycle=0, layers=(), num_images=9)
        >>> LabelHistoryTables().grown(run, report) is None
        True

    """

    def __init__(self) -> None:
        self._kept: dict[object, dict[str, _Kept]] = {}

    def __reduce__(self) -> tuple[type[Self], tuple[()]]:
        return type(self), ()

    def grown(self, run: object, report: DissectionReport) -> object | None:
        """Add a report's new and changed labels to the table of a run.

        Args:
            run: The run that logs the table.
            report: The dissection; a repeated one is compared with what was before it, and its rows come once more.

        Returns:
            The ``wandb.Table`` to log, ``None`` if nothing changed.

        """
        import wandb

        tables = self._kept.setdefault(run, {})
        if report.name not in tables:
            kinds = [_COLUMN_TYPES.get(name, str) for name in CHANGE_COLUMNS]
            table = wandb.Table(columns=list(CHANGE_COLUMNS), dtype=kinds, log_mode="INCREMENTAL")
            tables[report.name] = _Kept(table)
        kept = tables[report.name]
        before, kept.last = _before(kept.last, report), Snapshot.of(report)
        rows = change_rows(before, kept.last)
        for row in rows:
            kept.table.add_data(*row.values())
        return kept.table if rows else None


def _before(last: Snapshot | None, report: DissectionReport) -> Snapshot | None:
    if last is not None and last.cycle < report.cycle:
        return last
    if report.dirpath is None:
        return None
    history = DissectionHistory(report.dirpath)
    history.refresh()
    return next((snapshot for snapshot in reversed(list(history)) if snapshot.cycle < report.cycle), None)
