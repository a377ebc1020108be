"""Reports as self-contained HTML pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lightning_dissect.checks import check_positive
from lightning_dissect.refinement_report import RefinementReport
from lightning_dissect.report.page import render_page
from lightning_dissect.report.refinement_page import render_refinement
from lightning_dissect.types import DissectionReport
from lightning_dissect.whole_files import write_whole
from lightning_dissect.writers.base import WRITERS


@WRITERS.register("html")
@dataclass(frozen=True)
class HTMLWriter:
    """Writes ``report.html``: the newest dissection, to be opened from disk without a network.

    What a search for labels found is ``refinement/cycle-0003/refinement.html``, likewise.

    Args:
        image_budget: Most characters that the pictures inside a page may take.

    Raises:
        ValueError:
            If ``image_budget`` is not positive.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     HTMLWriter().write(DissectionReport(0, 0, 0, (), 9, dirpath=Path(folder)), [])
        ...     Path(folder, "report.html").exists()
        True

    """

    image_budget: int = 8_000_000

    def __post_init__(self) -> None:
        check_positive("image_budget", self.image_budget)

    def write(self, report: DissectionReport, loggers: Sequence[Any]) -> None:  # noqa: ARG002
        """Write a report, see `ReportWriter`; nothing is written if the report has no ``dirpath``."""
        if report.dirpath is not None:
            write_whole(report.dirpath / "report.html", render_page(report, self.image_budget))

    def write_refinement(self, report: RefinementReport, loggers: Sequence[Any]) -> None:  # noqa: ARG002
        """Write what a search found, see `RefinementWriter`; nothing is written if the report has no ``dirpath``."""
        if report.folder is not None:
            write_whole(report.folder / "refinement.html", render_refinement(report, self.image_budget))
