"""What every benchmark shares: timing in turns, peak memory, the machine, a table and its JSON."""

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch


@dataclass(frozen=True)
class Timing:
    """Seconds of repeated calls: the minimum is what the work costs, the median what one gets on a busy machine."""

    minimum: float
    median: float


class BenchmarkTable:
    """Rows of named values under a title, beside what they were measured on.

    Args:
        title: What was measured.
        environment: What it was measured on.

    """

    def __init__(self, title: str, environment: Mapping[str, str]) -> None:
        self.title = title
        self.environment = dict(environment)
        self.rows: list[dict[str, object]] = []

    def add(self, **row: object) -> None:
        """Append a row; its names are the heads of the columns."""
        self.rows.append(row)

    def __str__(self) -> str:
        heads = list(dict.fromkeys(name for row in self.rows for name in row))
        cells = [heads, *([_shown(row.get(head, "")) for head in heads] for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in cells]
        described = ", ".join(f"{name} {value}" for name, value in self.environment.items())
        return "\n".join([self.title, described, *lines])

    def as_json(self) -> dict[str, object]:
        """Return the table as plain values."""
        return {"title": self.title, "environment": self.environment, "rows": self.rows}


def environment() -> dict[str, str]:
    """Describe the machine, its load and the versions."""
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "threads": str(torch.get_num_threads()),
        "load": f"{os.getloadavg()[0]:.1f}",
        "python": platform.python_version(),
        **{name: _version(name) for name in ("torch", "numba")},
    }


def in_turns(calls: Sequence[Callable[[], object]], repeats: int) -> list[Timing]:
    """Time calls one after the other, round by round, so that what else runs on the machine hits them alike."""
    seconds: list[list[float]] = [[] for _ in calls]
    for _ in range(repeats):
        for call, spent in zip(calls, seconds, strict=True):
            start = time.perf_counter()
            call()
            spent.append(time.perf_counter() - start)
    return [Timing(min(spent), statistics.median(spent)) for spent in seconds]


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """Return the exponent of cost in size: the slope of a line through the points in log-log."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def peak_bytes() -> int:
    """Return the most memory that this process ever held, measured by the operating system.

    Where there is ``/proc`` it is that of the program alone: ``getrusage`` begins with what the process that started it
    held.
    """
    status = Path("/proc/self/status")
    for line in status.read_text(encoding="ascii").splitlines() if status.exists() else ():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def resident_bytes() -> int:
    """Return the memory that this process holds now; the most it ever held where the system does not say."""
    counts = Path("/proc/self/statm")
    return (
        int(counts.read_text(encoding="ascii").split()[1]) * resource.getpagesize() if counts.exists() else peak_bytes()
    )


def write_tables(path: Path, tables: Sequence[BenchmarkTable], **further: object) -> None:
    """Write tables, and what else was measured, to a JSON file."""
    found = {"tables": [table.as_json() for table in tables], **further}
    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


@contextmanager
def stopwatches(
    parts: Mapping[str, tuple[Any, str]], spent: dict[str, float], synchronise: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Add up the seconds that functions take, each given by its owner and its name there."""

    def timed(function: Callable[..., Any], part: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            synchronise()
            start = time.perf_counter()
            result = function(*args, **kwargs)
            synchronise()
            spent[part] += time.perf_counter() - start
            return result

        return call

    with ExitStack() as stack:
        for part, (owner, attribute) in parts.items():
            stack.enter_context(patch.object(owner, attribute, timed(getattr(owner, attribute), part)))
        yield


def in_subprocess(module: str, *arguments: str) -> Any:
    """Run a module in a fresh process and return what it prints last, as JSON."""
    run = subprocess.run([sys.executable, "-m", module, *arguments], capture_output=True, text=True, check=True)
    return json.loads(run.stdout.splitlines()[-1])


def _shown(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "-"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
