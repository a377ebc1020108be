"""What it costs to follow a run: reading its history, measuring change, rewriting the dashboard, matching units.

Run ``python -m tests.benchmarks.across_epochs [--size tiny|full] [--json FILE]``. Histories are made up and have no
pictures. A page that is written *once more* keeps what it has packed of all dissections, as in a run.
"""

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from lightning_dissect.dashboard import Gallery, render_dashboard
from lightning_dissect.history import DissectionHistory, compare, curves, match_units
from lightning_dissect.writers import PictureFolder
from tests.benchmarks.table import BenchmarkTable, environment, exponent, in_turns, write_tables
from tests.helpers.run_history import wandering_run

MODULE = "tests.benchmarks.across_epochs"
SIZES = {"tiny": (60, 4, 40, 32), "full": (4000, 50, 3000, 2048)}
"""Neurons, dissections, images, units of a layer that are matched on 1,024 images."""
REPEATS = 3


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=list(SIZES), default="full")
    parser.add_argument("--json", type=Path, help="file to write what was measured to")
    options = parser.parse_args(arguments)
    neurons, dissections, images, units = SIZES[options.size]
    with TemporaryDirectory() as folder:
        tables = [following(Path(folder), neurons, dissections, images), matching(units)]
    for table in tables:
        print(table)  # noqa: T201
    if options.json:
        write_tables(options.json, tables)


def following(folder: Path, neurons: int, dissections: int, images: int) -> BenchmarkTable:
    """Measure what a run of some dissections costs, all of it and once more."""
    history = wandering_run(folder, dissections, neurons, images=images)
    gallery, page = Gallery(PictureFolder(folder)), render_dashboard(history)
    render_dashboard(history, gallery)
    calls: dict[str, Callable[[], object]] = {
        "read from disk": partial(DissectionHistory.load, folder),
        "as one table": history.table,
        "two dissections compared": partial(compare, history[0], history[-1], history.embeddings),
        "curves of all": partial(curves, history),
        "dashboard of all": partial(render_dashboard, history),
        "dashboard once more": partial(render_dashboard, history, gallery),
    }
    table = BenchmarkTable(f"{neurons} neurons x {dissections} dissections", environment())
    for name, timing in zip(calls, in_turns(list(calls.values()), REPEATS), strict=True):
        table.add(what=name, seconds=timing.minimum)
    on_disk = sum(path.stat().st_size for path in (folder / "history").iterdir())
    table.add(what="history on disk", MB=on_disk / 1e6)
    table.add(what="dashboard", MB=len(page) / 1e6)
    return table


def matching(units: int) -> BenchmarkTable:
    """Measure the matching of a layer with itself in another order, at three sizes."""
    generator = np.random.default_rng(0)
    activations = generator.standard_normal((1024, units), dtype=np.float32)
    shuffled = activations[:, generator.permutation(units)]
    sizes = [units // 4, units // 2, units]
    timings = in_turns([partial(match_units, activations[:, :size], shuffled[:, :size]) for size in sizes], REPEATS)
    table = BenchmarkTable("Units matched on 1,024 images, with the matches of shuffled images", environment())
    for size, timing in zip(sizes, timings, strict=True):
        table.add(units=size, seconds=timing.minimum)
    table.add(units="exponent", seconds=exponent(sizes, [timing.minimum for timing in timings]))
    return table


if __name__ == "__main__":
    main()
