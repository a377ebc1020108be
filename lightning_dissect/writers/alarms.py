"""Where alarms go: a file of the run, Weights & Biases, and a function of the user's."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lightning_dissect.failures import noting
from lightning_dissect.history import Alarm
from lightning_dissect.types import DissectionReport
from lightning_dissect.whole_files import write_whole
from lightning_dissect.writers.loggers import loggers_called

ALARM_FILE = "alarms.jsonl"


def write_alarms(alarms: Sequence[Alarm], report: DissectionReport) -> None:
    """Write the alarms of a dissection to ``alarms.jsonl`` in the folder of the reports, one JSON object per line.

    Each has ``cycle``, ``epoch`` and ``step`` beside the fields of `Alarm`; a number that is not finite is ``null``.
    Alarms of the same and of later cycles, which a run has left that was resumed from an older checkpoint, are removed.

    Args:
        alarms: The alarms.
        report: The dissection; nothing is written if it has no ``dirpath``.

    Raises:
        OSError:
            If the file cannot be written.

    """
    if report.dirpath is None:
        return
    path = report.dirpath / ALARM_FILE
    old = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    kept = [line for line in old if json.loads(line)["cycle"] < report.cycle]
    lines = [*kept, *(_line(alarm, report) for alarm in alarms)]
    if lines != old:
        write_whole(path, "".join(f"{line}\n" for line in lines))


def read_alarms(dirpath: Path | str) -> list[dict[str, Any]]:
    """Return the alarms of a run as they stand in its ``alarms.jsonl``.

    Args:
        dirpath: Folder of the run's reports.

    Returns:
        A record per alarm, none where there was none.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     report = DissectionReport(epoch=1, step=20, cycle=1, layers=(), num_images=9, dirpath=Path(folder))
        ...     write_alarms([Alarm("concept_loss", "Concepts lost", "", "fc", 3.0, 5.0)], report)
        ...     [(alarm["name"], alarm["cycle"]) for alarm in read_alarms(folder)]
        [('concept_loss', 1)]

    """
    path = Path(dirpath) / ALARM_FILE
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def sound_alarms(
    alarms: Sequence[Alarm],
    report: DissectionReport,
    loggers: Sequence[Any],
    on_alarm: Callable[[Alarm], object] | None = None,
) -> list[str]:
    """Bring alarms to a file, as alerts to every ``WandbLogger``, and to a function; one that fails stops no other.

    Args:
        alarms: The alarms of a dissection.
        report: The dissection.
        loggers: The loggers of the run.
        on_alarm: Called with each alarm.

    Returns:
        What went wrong.

    """
    failures: list[str] = []
    with noting(failures, f"{ALARM_FILE} failed."):
        write_alarms(alarms, report)
    for alarm in alarms:
        for logger in loggers_called(loggers, "WandbLogger"):
            with noting(failures, "The alert in W&B failed."):
                logger.experiment.alert(title=alarm.title, text=alarm.text, level="WARN")
        with noting(failures, "`on_alarm` failed."):
            if on_alarm is not None:
                on_alarm(alarm)
    return failures


def _line(alarm: Alarm, report: DissectionReport) -> str:
    record = {"cycle": report.cycle, "epoch": report.epoch, "step": report.step, **asdict(alarm)}
    plain = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in record.items()
    }
    return json.dumps(plain, ensure_ascii=False)
