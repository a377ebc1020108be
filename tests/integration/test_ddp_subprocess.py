"""A script that starts its own processes, as users run it."""

import csv
import json
import math
import os
import subprocess
import sys
from operator import itemgetter
from pathlib import Path

import pytest
from lightning.pytorch import Trainer

from lightning_dissect.report import metric_values, neuron_rows
from tests.helpers import training_script
from tests.helpers.planted import CONCEPTS, PlantedModule
from tests.helpers.wandb_reader import artifacts, history, run_log

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

    options = {"layers": ["net.act"], "vocabulary": CONCEPTS, "encoder": "annotations", "target_fn": itemgetter(1)}
    judging = make_dissection(**options, false_discovery_rate=0.05)
    Trainer(**trainer_options, callbacks=[judging]).fit(PlantedModule(num_images=159))
    rows = list(history(run_log(tmp_path)))
    scalars = [row for row in rows if "dissection/quality" in row]
    for row, report in zip(scalars, writer.reports, strict=True):
        expected = metric_values(report)
        assert {key: row[key] for key in expected} == pytest.approx(expected, abs=1e-6)
    tables = [row["trainer/global_step"] for row in rows if "dissection/neurons" in row]
    assert tables == [row["trainer/global_step"] for row in scalars] == [2, 5]

    found = [(name, path) for files in artifacts(run_log(tmp_path)) for name, path in files.items()]
    written = [json.loads(path.read_text()) for name, path in found if name.endswith("neurons.table.json")]
    for table, report in zip(written, writer.reports, strict=True):
        logged = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
        assert [row["status"] for row in logged] == [neuron.status for neuron in report.neurons]
        assert {"labelled", "ambiguous", "no_clear_function", "dead"} == {row["status"] for row in logged}
        for row, expected in zip(logged, neuron_rows(report), strict=True):
            assert row["contenders"] == expected["contenders"]
            for name in ("quality_low", "quality_high", "q_chance", "q_untrained"):
                value = math.nan if row[name] is None else row[name]
                assert value == pytest.approx(expected[name], abs=1e-6, nan_ok=True)

    [page] = tmp_path.rglob("report.html")
    with (page.parent / "layers.csv").open(newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["0", "1"]
    assert "issection" not in done.stderr
