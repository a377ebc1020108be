"""What the loggers of a real run hold afterwards."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger, WandbLogger
from PIL import Image

from lightning_dissect import NeuronDissection
from lightning_dissect.history import Alarm
from lightning_dissect.report.change_rows import CHANGE_COLUMNS
from lightning_dissect.writers import TensorBoardWriter, WandbWriter
from tests.helpers.colours import COLOURS, ColourEncoder, ColourModule
from tests.helpers.wandb_reader import alerts, artifacts, history

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


class SwapColours(Callback):
    """Makes the first two units see each other's colour in the third epoch."""

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == 2:
            weight = pl_module.net.paint.weight.data
            weight[:2] = weight[:2].flip(0)


SCALARS = ("dissection/quality", "dissection/net_paint/labelled", "dissection/churn", "dissection/gained")
FIRST = [("red", ""), ("green", ""), ("blue", "")]
SWAPPED = [("green", "red"), ("red", "green")]


class PageOfTheRun:
    """Stands for whatever writes the dashboard."""

    def write(self, report, loggers):
        (report.dirpath / "dashboard.html").write_text(f"<p>after step {report.step}</p>")


@pytest.fixture(scope="module")
def run_in_two_parts(tmp_path_factory):
    """Train for two epochs, then resume for two more, as the same run of W&B and in the same folder of TensorBoard."""
    import wandb

    base = tmp_path_factory.mktemp("resumed")
    checkpoint = base / "last.ckpt"
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng():
        patch.setenv("WANDB_MODE", "offline")
        patch.setenv("WANDB_SILENT", "true")
        for folder in ("DATA", "CACHE", "CONFIG"):
            patch.setenv(f"WANDB_{folder}_DIR", str(base / folder))
        for part, epochs in enumerate((2, 4)):
            board = TensorBoardLogger(base / "board", version=0)
            (base / f"wandb{part}").mkdir()
            run = WandbLogger(save_dir=base / f"wandb{part}", offline=True, id="same", project="p")
            dissection = NeuronDissection(
                layers=["net.paint"],
                vocabulary=list(COLOURS),
                encoder=ColourEncoder(),
                writers=[PageOfTheRun(), WandbWriter(), TensorBoardWriter()],
                cache=False,
                strict=True,
                false_discovery_rate=None,
            )
            trainer = Trainer(
                max_epochs=epochs,
                accelerator="cpu",
                devices=1,
                logger=[board, run],
                callbacks=[dissection, SwapColours()],
                enable_progress_bar=False,
                enable_model_summary=False,
                enable_checkpointing=False,
                log_every_n_steps=1,
                default_root_dir=base,
            )
            trainer.fit(ColourModule(), ckpt_path=checkpoint if part else None)
            trainer.save_checkpoint(checkpoint)
            board.experiment.close()
            wandb.finish()
            wandb.teardown()
    return base


def _wandb_logs(folder):
    return [next((folder / f"wandb{part}").rglob("*.wandb")) for part in range(2)]


def test_wandb_goes_on_after_a_resume(run_in_two_parts):
    logs = _wandb_logs(run_in_two_parts)
    rows = [(log.parent / "files", row) for log in logs for row in history(log)]
    scalars = [row for _, row in rows if SCALARS[0] in row]
    assert [row["trainer/global_step"] for row in scalars] == [2, 5, 8, 11]
    assert all(key in row for row in scalars for key in SCALARS)
    assert [row["dissection/churn"] for row in scalars[1:]] == [0.0, pytest.approx(2 / 3), 0.0]
    tables = [(files, row) for files, row in rows if "dissection/neurons" in row]
    assert [row["trainer/global_step"] for _, row in tables] == [2, 5, 8, 11]
    labels = []
    for files, row in tables:
        table = json.loads((files / row["dissection/neurons"]["path"]).read_text())
        labels.append([dict(zip(table["columns"], cells, strict=True))["label"] for cells in table["data"]])
        captions = row["dissection/net_paint/top_images"]["captions"]
        assert sorted(caption.partition(" |")[0] for caption in captions) == ["blue", "green", "red"]
    assert labels == [["red", "green", "blue", ""]] * 2 + [["green", "red", "blue", ""]] * 2
    pages = [(files / row["dissection/dashboard"]["path"]).read_text() for files, row in tables]
    assert pages == [f"<p>after step {step}</p>" for step in (3, 6, 9, 12)]


def test_the_label_history_has_each_change_once(run_in_two_parts):
    """A dissection that changes nothing logs nothing; after the resume there are the changes, not all labels anew."""
    changes = []
    for log in _wandb_logs(run_in_two_parts):
        for artifact in artifacts(log):
            for name, path in artifact.items():
                if name.endswith("label_history.table.json"):
                    table = json.loads(path.read_text())
                    assert tuple(table["columns"]) == CHANGE_COLUMNS
                    cells = [dict(zip(CHANGE_COLUMNS, row, strict=True)) for row in table["data"]]
                    changes.append(
                        (
                            {(cell["epoch"], cell["step"], cell["layer"]) for cell in cells},
                            [(cell["label"], cell["previous_label"]) for cell in cells],
                        )
                    )
    assert changes == [({(0, 3, "net.paint")}, FIRST), ({(2, 9, "net.paint")}, SWAPPED)]


def test_tensorboard_goes_on_after_a_resume(run_in_two_parts):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    [folder] = {path.parent for path in (run_in_two_parts / "board").rglob("events.out.*")}
    events = EventAccumulator(str(folder), size_guidance={"images": 0, "tensors": 0}).Reload()
    for key in SCALARS:
        assert [event.step for event in events.Scalars(key)] == [2, 5, 8, 11]
    assert [event.step for event in events.Images("dissection/net_paint/top_images")] == [2, 5, 8, 11]
    for table in ("dissection/layers", "dissection/net_paint/neurons"):
        assert [event.step for event in events.Tensors(f"{table}/text_summary")] == [2, 5, 8, 11]
    listed = (folder / "projector_config.pbtxt").read_text()
    names = [line.split('"')[1] for line in listed.splitlines() if "tensor_name" in line]
    assert names == ["dissection:00002", "dissection:00005", "dissection:00008", "dissection:00011"]
    for name in names:
        metadata = (folder / name.partition(":")[2] / "dissection" / "metadata.tsv").read_text().splitlines()
        assert sorted(line.split("\t")[0] for line in metadata[1:]) == ["blue", "green", "red"]
