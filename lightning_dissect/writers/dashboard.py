"""The page of the run, written anew after every dissection."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightning_dissect.checks import check_positive
from lightning_dissect.dashboard import Gallery, render_dashboard
from lightning_dissect.history import DissectionHistory, RunCurves
from lightning_dissect.types import DissectionReport
from lightning_dissect.whole_files import write_whole
from lightning_dissect.writers.alarms import read_alarms
from lightning_dissect.writers.base import WRITERS
from lightning_dissect.writers.pictures import PictureFolder

_log = logging.getLogger(__name__)


@WRITERS.register("dashboard")
@dataclass(frozen=True)
class DashboardWriter:
    """Writes ``dashboard.html``: all dissections of the run so far, to be opened from disk without a network.

    It shows what ``history`` in the same folder holds, pictures that a `PicturesWriter` before it wrote, and what
    ``alarms.jsonl`` says, if there is one. Nothing is written without a history, nor where the extra ``dashboard`` is
    not installed, of which a line in the log speaks once.

    Args:
        image_budget: Most characters that the pictures inside the page may take.
        data_budget: Characters of numbers beyond which older dissections keep but their labels and qualities.

    Raises:
        ValueError:
            If a budget is not positive.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     report = DissectionReport(0, 0, 0, (), 9, dirpath=Path(folder))
        ...     DissectionHistory(folder).append(report)
        ...     DashboardWriter().write(report, [])
        ...     Path(folder, "dashboard.html").exists()
        True

    """

    image_budget: int = 12_000_000
    data_budget: int = 30_000_000
    _runs: "dict[Path, _Run]" = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("image_budget", "data_budget"):
            check_positive(name, getattr(self, name))

    def write(self, report: DissectionReport, loggers: Sequence[Any]) -> None:  # noqa: ARG002
        """Write the run of a report, see `ReportWriter`; nothing is written if the report has no ``dirpath``."""
        if report.dirpath is None:
            return
        if report.dirpath not in self._runs:
            self._runs.clear()
            self._runs[report.dirpath] = _Run(report.dirpath)
        run = self._runs[report.dirpath]
        if not run.follows(report) or run.is_told:
            return
        try:
            page = run.page(self.image_budget, self.data_budget)
        except ModuleNotFoundError as error:
            run.is_told = True
            _log.warning("There is no dashboard of this run. %s", error)
            return
        write_whole(report.dirpath / "dashboard.html", page)


class _Run:
    """What is kept from one page of a run to the next."""

    def __init__(self, dirpath: Path) -> None:
        self.dirpath = dirpath
        self.history = DissectionHistory(dirpath)
        self.gallery = Gallery(PictureFolder(dirpath))
        self.run_curves = RunCurves()
        self.is_told = False

    def follows(self, report: DissectionReport) -> bool:
        """Read what is new on disk, everything where a resumed run replaced some, and say whether there is any."""
        if any(snapshot.cycle >= report.cycle for snapshot in self.history):
            self.history = DissectionHistory(self.dirpath)
        self.history.refresh()
        return len(self.history) > 0

    def page(self, image_budget: int, data_budget: int) -> str:
        return render_dashboard(
            self.history,
            self.gallery,
            alarms=read_alarms(self.dirpath),
            run_curves=self.run_curves,
            image_budget=image_budget,
            data_budget=data_budget,
        )
