"""Where on disk the reports of a run lie."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any


def run_folder(loggers: Sequence[Any], default: str | Path) -> Path:
    """Return the folder in which a run's first logger keeps its files.

    Args:
        loggers: The loggers of the run.
        default: The folder of a run that has none.

    Example:
        >>> run_folder([], "runs").as_posix()
        'runs'

    """
    if not loggers:
        return Path(default)
    logger = loggers[0]
    version = logger.version if isinstance(logger.version, str) else f"version_{logger.version}"
    return Path(logger.save_dir or default) / str(logger.name) / version


def unused_folder(folder: Path) -> Path:
    """Return a folder, or the first of ``folder-v1``, ``folder-v2``, ... that no other run has written to.

    Args:
        folder: The folder that is wanted.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as base:
        ...     Path(base, "dissection").mkdir()
        ...     Path(base, "dissection", "report.html").touch()
        ...     unused_folder(Path(base, "dissection")).name
        'dissection-v1'

    """
    candidate, version = folder, 0
    while candidate.is_dir() and any(candidate.iterdir()):
        version += 1
        candidate = folder.with_name(f"{folder.name}-v{version}")
    return candidate
