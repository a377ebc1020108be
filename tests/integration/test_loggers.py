"""What the loggers of a real run hold afterwards."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger, WandbLogger
from PIL import Image

from lightning_dissect.history import Alarm
from tests.helpers.colours import ColourModule
from tests.helpers.wandb_reader import alerts, history

KEYS = {"quality", "labelled", "dead", "non_finite", "distinct_labels"}


@pytest.fixture
def offline_wandb(tmp_path, monkeypatch):
    import wandb

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    for folder in ("DATA", "CACHE", "CONFIG"):
        monkeypatch.setenv(f"WANDB_{folder}_DIR", str(tmp_path / folder))
    yield tmp_path
    wandb.finish()
    wandb.teardown()


def test_an_offline_wandb_run_holds_scalars_table_and_pictures(trainer_options, make_dissection, offline_wandb):
    import wandb

    trainer_options["logger"] = WandbLogger(save_dir=offline_wandb, offline=True)
    dissection = make_dissection(writers=["wandb"])
    Trainer(**trainer_options, log_every_n_steps=1, callbacks=[dissection]).fit(ColourModule())
    run_dir = Path(trainer_options["logger"].experiment.dir).parent
    wandb.finish()
    wandb.teardown()
    rows = list(history(next(run_dir.glob("*.wandb"))))
    scalars = [row for row in rows if "dissection/quality" in row]
    assert [row["trainer/global_step"] for row in scalars] == [2, 5]
    assert all(row["dissection/net_paint/dead"] == 1 for row in scalars)
    tables = [row for row in rows if "dissection/neurons" in row]
    assert [row["trainer/global_step"] for row in tables] == [2, 5]
    table = json.loads((run_dir / "files" / tables[-1]["dissection/neurons"]["path"]).read_text())
    cells = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    assert [cell["label"] for cell in cells] == ["red", "green", "blue", ""]
    assert [cell["status"] for cell in cells] == ["labelled"] * 3 + ["dead"]
    assert {cell["step"] for cell in cells} == {6}
    media = [key for key in tables[-1] if key.startswith("dissection/net_paint")]
    assert media
    panel = tables[-1][media[0]]
    assert any("red" in caption for caption in panel["captions"])
    picture = Image.open(run_dir / "files" / panel["filenames"][0])
    assert np.asarray(picture.convert("RGB")).std() > 0


def test_an_alarm_is_an_alert_and_its_count_a_scalar(trainer_options, make_dissection, offline_wandb):
    import wandb

    class Second:
        def check(self, run, curves):
            return [Alarm("second", "Second", "It is the second.", "", 2.0, 1.0)] if len(run) == 2 else []

    trainer_options["logger"] = WandbLogger(save_dir=offline_wandb, offline=True)
    dissection = make_dissection(alarms=[Second()])
    with pytest.warns(match="It is the second"):
        Trainer(**trainer_options, log_every_n_steps=1, callbacks=[dissection]).fit(ColourModule())
    run_dir = Path(trainer_options["logger"].experiment.dir).parent
    wandb.finish()
    wandb.teardown()
    path = next(run_dir.glob("*.wandb"))
    assert alerts(path) == [("Second", "It is the second.", "WARN")]
    rows = [row for row in history(path) if "dissection/alarms" in row]
    assert [(row["trainer/global_step"], row["dissection/alarms"]) for row in rows] == [(2, 0), (5, 1)]
    assert rows[1]["dissection/net_paint/churn"] == 0


def test_tensorboard_holds_scalars_pictures_and_text(trainer_options, make_dissection, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trainer_options["logger"] = TensorBoardLogger(tmp_path, name="board")
    Trainer(**trainer_options, log_every_n_steps=1, callbacks=[make_dissection(writers=["tensorboard"])]).fit(
        ColourModule()
    )
    events = EventAccumulator(trainer_options["logger"].log_dir, size_guidance={"images": 0, "tensors": 0})
    events.Reload()
    assert [event.step for event in events.Scalars("dissection/quality")] == [2, 5]
    images = [tag for tag in events.Tags()["images"] if "net_paint" in tag]
    assert images
    assert [event.step for event in events.Images(images[0])] == [2, 5]
    assert Image.open(io.BytesIO(events.Images(images[0])[0].encoded_image_string)).size[0] > 8
    assert any("dissection" in tag for tag in events.Tags()["tensors"])


def test_files_lie_beside_the_first_logger_s(trainer_options, make_dissection, tmp_path):
    trainer_options["logger"] = CSVLogger(tmp_path, name="runs")
    Trainer(**trainer_options, log_every_n_steps=1, callbacks=[make_dissection(writers=None)]).fit(ColourModule())
    folder = tmp_path / "runs" / "version_0" / "dissection"
    assert (folder / "report.html").is_file()
    with (folder / "descriptions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["layer"], row["unit"], row["description"]) for row in rows[:3]] == [
        ("net.paint", "0", "red"),
        ("net.paint", "1", "green"),
        ("net.paint", "2", "blue"),
    ]
    with (tmp_path / "runs" / "version_0" / "metrics.csv").open(newline="") as file:
        logged = list(csv.DictReader(file))
    assert {f"dissection/{key}" for key in KEYS} <= logged[0].keys()
