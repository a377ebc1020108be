"""A script that starts its own processes, as users run it."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
from lightning.pytorch import Trainer

from lightning_dissect.report import metric_values
from tests.helpers import training_script
from tests.helpers.colours import ColourModule
from tests.helpers.wandb_reader import history, run_log

ROOT = Path(training_script.__file__).parents[2]


@pytest.mark.ddp
def test_a_wandb_run_of_two_processes_holds_what_one_process_finds(trainer_options, make_dissection, writer, tmp_path):
    folders = {f"WANDB_{name}_DIR": str(tmp_path / "wandb_home") for name in ("DATA", "CACHE", "CONFIG")}
    environment = {**os.environ, **folders, "WANDB_MODE": "offline", "WANDB_SILENT": "true", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, training_script.__file__, str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr

    Trainer(**trainer_options, callbacks=[make_dissection()]).fit(ColourModule(num_images=23))
    rows = list(history(run_log(tmp_path)))
    scalars = [row for row in rows if "dissection/quality" in row]
    for row, report in zip(scalars, writer.reports, strict=True):
        expected = metric_values(report)
        assert {key: row[key] for key in expected} == pytest.approx(expected, abs=1e-6)
    tables = [row["trainer/global_step"] for row in rows if "dissection/neurons" in row]
    assert tables == [row["trainer/global_step"] for row in scalars] == [1, 3]

    [page] = tmp_path.rglob("report.html")
    with (page.parent / "layers.csv").open(newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["0", "1"]
    assert "issection" not in done.stderr
