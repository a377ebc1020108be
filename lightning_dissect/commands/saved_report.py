"""Reports that a run has left on disk."""

from dataclasses import replace
from pathlib import Path

from lightning_dissect.types import DissectionReport
from lightning_dissect.writers import read_pictures, read_report


def saved_report(path: str) -> DissectionReport:
    """Read a report with its pictures.

    Args:
        path: A file ``reports/cycle-0003.json``, or the folder of a run for the last of its reports.

    Raises:
        ValueError:
            If there is no report, or there are no pictures of it.

    """
    file = Path(path)
    if file.is_dir():
        found = sorted(file.glob("reports/cycle-*.json")) or sorted(file.glob("cycle-*.json"))
        if not found:
            raise ValueError(
                f"Expected REPORT to be a report or a folder with reports/cycle-*.json but {path!r} holds none."
            )
        file = found[-1]
    elif not file.is_file():
        raise ValueError(f"Expected REPORT to be a report or the folder of a run but there is no {path!r}.")
    report = read_report(file)
    pictures = read_pictures(file.parent.parent, report.cycle)
    if not pictures:
        raise ValueError(
            f"Expected pictures beside {path!r} but there are none. Dissect with the writer 'pictures' among `writers`."
        )
    return replace(report, images=pictures)


def is_newest(report: DissectionReport) -> bool:
    """Return whether no later report of its run was saved.

    Args:
        report: A saved report.

    """
    files = sorted(report.dirpath.glob("reports/cycle-*.json")) if report.dirpath is not None else []
    return not files or files[-1].stem == f"cycle-{report.cycle:04d}"
