import json
import logging

import numpy as np
import pytest
from lightning.fabric.loggers.logger import _DummyExperiment
from lightning.pytorch.loggers import WandbLogger
from PIL import Image

from lightning_dissect.report.montage import neuron_montage
from lightning_dissect.report.page import render_page
from lightning_dissect.report.rows import NEURON_COLUMNS
from lightning_dissect.types import LayerDissection, NeuronLabel
from lightning_dissect.writers import wandb as wandb_writer
from lightning_dissect.writers.wandb import WandbWriter
from tests.helpers.small_report import (
    EVALUATORS,
    HOSTILE,
    JUDGES,
    evaluated_report,
    judged_report,
    labelled,
    small_report,
)
from tests.helpers.wandb_reader import artifacts, history, run_log, saved_files

COLUMNS = [*NEURON_COLUMNS, "montage"]


class FakeRun:
    """Keeps what is logged."""

    def __init__(self):
        self.payloads = []

    def log(self, payload):
        self.payloads.append(payload)


def _logger(run):
    logger = object.__new__(WandbLogger)
    logger._experiment = run
    return logger


def _table(report, **options):
    run = FakeRun()
    WandbWriter(**options).write(report, [_logger(run)])
    [payload] = run.payloads
    return payload["dissection/neurons"]


def _close(path, neuron, report, size):
    shown = np.asarray(Image.open(path).convert("RGB")).astype(int)
    meant = np.asarray(neuron_montage(neuron, report.images, size)).astype(int)
    return shown.shape == meant.shape and np.abs(shown - meant).mean() < 3


@pytest.fixture(scope="module")
def offline_run(tmp_path_factory):
    """A real run: a scalar as Lightning logs it, then two reports, the second without any picture."""
    import wandb

    folder = tmp_path_factory.mktemp("wandb")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DATA", "CACHE", "CONFIG"):
            patch.setenv(f"WANDB_{name}_DIR", str(folder / name.lower()))
        patch.setenv("WANDB_MODE", "offline")
        patch.setenv("WANDB_SILENT", "true")
        logger = WandbLogger(save_dir=folder, offline=True)
        logger.log_metrics({"dissection/quality": 0.5}, step=29)
        WandbWriter().write(small_report(), [object(), logger])
        dead = LayerDissection("head", (NeuronLabel("head", 0, "dead"),))
        WandbWriter(html=False).write(small_report(layers=(dead,), epoch=3, logger_step=None), [logger])
        WandbWriter(html=False).write(judged_report(name="judged", images={}, logger_step=31), [logger])
        WandbWriter(html=False).write(evaluated_report(name="evaluated", logger_step=32), [logger])
        wandb.finish()
        wandb.teardown()
    log = run_log(folder)
    return log.parent / "files", list(history(log)), list(artifacts(log))


def test_everything_is_one_row_at_the_step_of_the_scalars(offline_run):
    _, rows, _ = offline_run
    scalars, first, second, *_ = (row for row in rows if "trainer/global_step" in row)
    assert scalars["dissection/quality"] == 0.5
    assert scalars["trainer/global_step"] == first["trainer/global_step"] == 29
    assert {key for key in first if key.startswith("dissection/")} == {
        "dissection/neurons",
        "dissection/body_conv/top_images",
        "dissection/head/top_images",
        "dissection/label_history",
        "dissection/report",
    }
    assert second["trainer/global_step"] == 30
    assert {key for key in second if key.startswith("dissection/")} == {"dissection/neurons"}


def test_the_table_holds_every_neuron_and_its_columns_keep_their_types(offline_run):
    files, rows, _ = offline_run
    first, second = (
        json.loads((files / row["dissection/neurons"]["path"]).read_text())
        for row in rows
        if "dissection/neurons" in row
    )
    assert first["columns"] == second["columns"] == COLUMNS
    cells = [dict(zip(COLUMNS, row, strict=True)) for row in first["data"]]
    assert [cell["label"] for cell in cells] == [*HOSTILE, "", "", "zebra", "apple"]
    assert [cell["status"] for cell in cells[6:]] == ["dead", "non_finite", "labelled", "labelled"]
    assert (cells[-1]["layer"], cells[-1]["unit"], cells[-1]["epoch"], cells[-1]["step"]) == ("head", 6, 2, 30)
    assert (cells[-1]["score"], cells[-1]["quality"]) == (1.5, 0.75)
    assert second["data"][0][:3] == ["head", 0, ""]


def test_the_table_holds_what_metrics_say(offline_run):
    files, rows, _ = offline_run
    [row] = [row for row in rows if "judged/neurons" in row]
    table = json.loads((files / row["judged/neurons"]["path"]).read_text())
    assert table["columns"] == [*COLUMNS[:5], *(judge.name for judge in JUDGES), *COLUMNS[5:]]
    assert table["data"][-1][4:8] == [0.75, 0.75, 0.5, 1.5]


def test_montages_of_the_table_show_the_top_images(offline_run):
    _, _, [logged, *_] = offline_run
    table = json.loads(logged["dissection/neurons.table.json"].read_text())
    report = small_report()
    for neuron, row in zip(report.neurons, table["data"], strict=True):
        if not neuron.top_images:
            assert row[-1] is None
            continue
        assert row[-1]["path"].endswith(".jpg")
        assert _close(logged[row[-1]["path"]], neuron, report, WandbWriter.tile_size)


def test_pictures_of_a_layer_carry_captions_and_pixels(offline_run):
    files, rows, _ = offline_run
    [panel] = [row["dissection/head/top_images"] for row in rows if "dissection/head/top_images" in row]
    assert panel["captions"] == [
        "apple | score 1.500 | quality 0.750 | unit 6 | epoch 2 | step 30",
        "zebra | score -0.500 | quality -0.250 | unit 2 | epoch 2 | step 30",
    ]
    report = small_report()
    for name, unit in zip(panel["filenames"], (3, 2), strict=True):
        assert _close(files / name, report.layers[1].neurons[unit], report, WandbWriter.tile_size)


def test_the_page_is_logged_as_it_is(offline_run):
    files, rows, _ = offline_run
    [page] = [row["dissection/report"] for row in rows if "dissection/report" in row]
    assert (files / page["path"]).read_bytes().decode() == render_page(small_report())


def test_column_types_do_not_depend_on_the_rows():
    dead = LayerDissection("head", (NeuronLabel("head", 0, "dead"),))
    kinds = [
        {name: str(kind) for name, kind in _table(report)._column_types.params["type_map"].items()}
        for report in (small_report(), small_report(layers=(dead,)), small_report(layers=()))
    ]
    assert kinds[0] == kinds[1] == kinds[2]


def test_above_the_limits_rows_and_montages_are_spread_and_the_log_says_so(monkeypatch, caplog):
    monkeypatch.setattr(wandb_writer, "MAX_ROWS", 20)
    layer = LayerDissection("fc", tuple(labelled("fc", unit, "x", unit / 50) for unit in range(50)))
    with caplog.at_level(logging.INFO, logger=wandb_writer.__name__):
        rows = _table(small_report(layers=(layer,)), max_montages=5).data
    assert len(rows) == 20
    units = [row[1] for row in rows]
    assert units == sorted(units)
    assert (units[0], units[-1]) == (0, 49)
    assert sum(row[-1] is not None for row in rows) == 5
    assert "20 of 50 neurons, 5 of them with a montage" in caplog.text


def test_within_the_limits_the_log_stays_silent(caplog):
    with caplog.at_level(logging.INFO, logger=wandb_writer.__name__):
        _table(small_report())
    assert not caplog.text


def test_no_key_has_more_images_than_wandb_keeps():
    run = FakeRun()
    layer = LayerDissection("fc", tuple(labelled("fc", unit, "x", unit / 200) for unit in range(200)))
    WandbWriter(images_per_layer=108, html=False).write(small_report(layers=(layer,)), [_logger(run)])
    assert len(run.payloads[0]["dissection/fc/top_images"]) == 108


def test_the_experiment_of_other_ranks_is_tolerated():
    WandbWriter().write(small_report(), [_logger(_DummyExperiment())])


@pytest.mark.parametrize("name", ["max_montages", "images_per_layer", "tile_size", "max_dashboard_bytes"])
def test_numbers_must_be_positive(name):
    with pytest.raises(ValueError, match=f"Expected `{name}` to be greater than 0"):
        WandbWriter(**{name: 0})


def test_more_images_than_wandb_keeps_are_refused():
    with pytest.raises(ValueError, match="Expected `images_per_layer` to be at most 108 but got 109"):
        WandbWriter(images_per_layer=109)


def test_verdicts_are_in_the_table_the_captions_and_the_montages(offline_run):
    files, rows, _ = offline_run
    [row] = [row for row in rows if "evaluated/neurons" in row]
    table = json.loads((files / row["evaluated/neurons"]["path"]).read_text())
    names = [f"{judge.name}{what}" for judge in EVALUATORS for what in ("", "_precision", "_recall")]
    assert table["columns"] == [*COLUMNS[:5], *names, *COLUMNS[5:]]
    cells = [dict(zip(table["columns"], cell, strict=True)) for cell in table["data"]]
    assert [cell["vqa"] for cell in cells] == ["yes", "no", "yes", "", "", "", "", "", "", "yes"]
    assert (cells[0]["label"], cells[0]["vqa_precision"], cells[0]["silent"]) == (HOSTILE[0], 0.5, "")
    panel = row["evaluated/head/top_images"]
    assert panel["captions"][0] == "apple | score 1.500 | quality 0.750 | vqa yes, 1 of 2 | unit 6 | epoch 2 | step 30"
    assert "vqa" not in panel["captions"][1]
    report = evaluated_report()
    shown = np.asarray(Image.open(files / panel["filenames"][0]).convert("RGB")).astype(int)
    meant = np.asarray(neuron_montage(report.neurons[-1], report.images, WandbWriter.tile_size, "vqa")).astype(int)
    assert np.abs(shown - meant).mean() < 4


def _with_dashboard(folder, content, cycle=0):
    folder.mkdir(exist_ok=True)
    (folder / "dashboard.html").write_text(content, encoding="utf-8")
    return small_report(folder, layers=(), cycle=cycle)


def test_a_small_dashboard_is_logged_and_a_large_one_rarely_and_is_a_file_of_the_run(offline_wandb, tmp_path, caplog):
    reports = tmp_path / "reports [1]"
    logger = WandbLogger(save_dir=tmp_path / "run", offline=True)
    writer = WandbWriter(max_dashboard_bytes=10)
    with caplog.at_level(logging.INFO, logger=wandb_writer.__name__):
        for cycle in range(3):
            writer.write(_with_dashboard(reports, f"<p>猫{cycle}", cycle), [logger])
        assert "dashboard has" not in caplog.text
        for cycle in range(3, 10):
            writer.write(_with_dashboard(reports, f"<p>large {cycle}</p>", cycle), [logger])
        assert "when the run ends" in caplog.text
    offline_wandb.finish()
    offline_wandb.teardown()
    log = run_log(tmp_path)
    logged = [row["dissection/dashboard"] for row in history(log) if "dissection/dashboard" in row]
    shown = [(log.parent / "files" / page["path"]).read_text(encoding="utf-8") for page in logged]
    assert shown == ["<p>猫0", "<p>猫1", "<p>猫2", "<p>large 3</p>", "<p>large 7</p>"]
    [saved] = log.parent.rglob("dashboard.html")
    assert saved.relative_to(log.parent).as_posix() == "files/reports [1]/dashboard.html"
    assert saved.read_text() == "<p>large 9</p>"
    assert ("reports [1]/dashboard.html", "END") in set(saved_files(log))


def test_no_page_is_logged_where_none_is_wanted(tmp_path):
    run = FakeRun()
    WandbWriter(html=False).write(_with_dashboard(tmp_path, "<p></p>"), [_logger(run)])
    assert set(run.payloads[0]) == {"dissection/neurons", "trainer/global_step"}
