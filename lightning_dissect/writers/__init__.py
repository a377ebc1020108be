"""Where a report goes: files first, then the loggers of the run."""

from lightning_dissect.writers.alarms import read_alarms, sound_alarms, write_alarms
from lightning_dissect.writers.base import WRITERS, RefinementWriter, ReportWriter
from lightning_dissect.writers.csv import CSVWriter
from lightning_dissect.writers.dashboard import DashboardWriter
from lightning_dissect.writers.html import HTMLWriter
from lightning_dissect.writers.json import JSONWriter, read_report, report_path
from lightning_dissect.writers.json_refinement import read_refinement, refinement_path
from lightning_dissect.writers.pictures import PictureFolder, PicturesWriter, read_pictures
from lightning_dissect.writers.run_folder import run_folder, unused_folder
from lightning_dissect.writers.tensorboard import TensorBoardWriter
from lightning_dissect.writers.wandb import WandbWriter

__all__ = [
    "WRITERS",
    "CSVWriter",
    "DashboardWriter",
    "HTMLWriter",
    "JSONWriter",
    "PictureFolder",
    "PicturesWriter",
    "RefinementWriter",
    "ReportWriter",
    "TensorBoardWriter",
    "WandbWriter",
    "default_writers",
    "read_alarms",
    "read_pictures",
    "read_refinement",
    "read_report",
    "refinement_path",
    "report_path",
    "run_folder",
    "sound_alarms",
    "unused_folder",
    "write_alarms",
]


def default_writers() -> tuple[ReportWriter, ...]:
    """Return the writers of a run that names none: files on disk, the dashboard of the run, then W&B and TensorBoard.

    Those for loggers do nothing where there is no such logger.

    Example:
        >>> [type(writer).__name__.removesuffix("Writer") for writer in default_writers()]
        ['JSON', 'Pictures', 'HTML', 'CSV', 'Dashboard', 'Wandb', 'TensorBoard']

    """
    files = JSONWriter(), PicturesWriter(), HTMLWriter(), CSVWriter(), DashboardWriter()
    return *files, WandbWriter(), TensorBoardWriter()
