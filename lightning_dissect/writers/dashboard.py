"""The page of the run, written anew after every dissection."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightning_dissect.checks import check_positive
from lightning_dissect.dashboard import Gallery, render_dashboard
from lightning_dissect.history import DissectionHistory, RunCurves
from lightning_dissect.refinement_report import RefinementReport
from lightning_dissect.types import DissectionReport
from lightning_dissect.whole_files import write_whole
from lightning_dissect.writers.alarms import read_alarms
from lightning_dissect.writers.base import WRITERS
from lightning_dissect.writers.json_refinement import read_refinement, refinement_path
from lightning_dissect.writers.pictures import PictureFolder

_log = logging.getLogger(__name__)


@WRITERS.register("dashboard")
@dataclass(frozen=True)
class DashboardWriter:
    """Writes ``dashboard.html``: all dissections of the run so far, to be opened from disk without a network.

    It shows what ``history`` in the same folder holds, pictures that a `PicturesWriter` before it wrote, what
    ``alarms.jsonl`` says, if there is one, and of searches for labels what a `JSONWriter` before it wrote. Nothing is
    written without a history, nor where the extra ``dashboard`` is not installed, of which a line in the log speaks
    once.

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
        if report.dirpath is not None:
            self._write(report.dirpath, report.cycle)

    def write_refinement(self, report: RefinementReport, loggers: Sequence[Any]) -> None:  # noqa: ARG002
        """Write the run in which labels were searched for, see `RefinementWriter`, if it has a folder."""
        if report.dirpath is not None:
            self._write(report.dirpath, report.cycle + 1)

    def _write(self, dirpath: Path, cycle: int) -> None:
        if dirpath not in self._runs:
            self._runs.clear()
            self._runs[dirpath] = _Run(dirpath)
        run = self._runs[dirpath]
        if not run.follows(cycle) or run.is_told:
            return
        try:
            page = run.page(self.image_budget, self.data_budget)
        except ModuleNotFoundError as error:
            run.is_told = True
            _log.warning("There is no dashboard of this run. %s", error)
            return
        write_whole(dirpath / "dashboard.html", page)


class _Run:
    """What is kept from one page of a run to the next."""

    def __init__(self, dirpath: Path) -> None:
        self.dirpath = dirpath
        self.history = DissectionHistory(dirpath)
        self.gallery = Gallery(PictureFolder(dirpath))
        self.run_curves = RunCurves()
        self.is_told = False
        self._searches: dict[Path, tuple[int, RefinementReport]] = {}

    def follows(self, cycle: int) -> bool:
        """Read what is new on disk from a cycle on, everything if it was known, and say whether there is any."""
        if any(snapshot.cycle >= cycle for snapshot in self.history):
            self.history = DissectionHistory(self.dirpath)
        self.history.refresh()
        return len(self.history) > 0

    def page(self, image_budget: int, data_budget: int) -> str:
        return render_dashboard(
            self.history,
            self.gallery,
            alarms=read_alarms(self.dirpath),
            refinements=self._refinements(),
            run_curves=self.run_curves,
            image_budget=image_budget,
            data_budget=data_budget,
        )

    def _refinements(self) -> list[RefinementReport]:
        """Return what the searches after these dissections found."""
        paths = (refinement_path(self.dirpath, snapshot.cycle) for snapshot in self.history)
        return [self._refinement(path) for path in paths if path.exists()]

    def _refinement(self, path: Path) -> RefinementReport:
        written = path.stat().st_mtime_ns
        if self._searches.get(path, (-1, None))[0] != written:
            self._searches[path] = written, read_refinement(path)
        return self._searches[path][1]
