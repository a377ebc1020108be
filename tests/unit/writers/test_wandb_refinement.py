import json
import logging
from dataclasses import replace

import numpy as np
import pytest
from lightning.pytorch.loggers import WandbLogger
from PIL import Image

from lightning_dissect.report.montage import montage
from lightning_dissect.report.refinement_rows import REFINEMENT_COLUMNS
from lightning_dissect.writers import WandbWriter
from lightning_dissect.writers.wandb_refinement import refinement_page, refinement_table
from tests.helpers.refined import LABELS, refined_report
from tests.helpers.wandb_reader import artifacts, history, run_log

COLUMNS = [*REFINEMENT_COLUMNS, "concept_images"]


@pytest.fixture(scope="module")
def offline_run(tmp_path_factory):
    """A real run that logs a search twice, the second time of nothing and without its page."""
    import wandb

    folder = tmp_path_factory.mktemp("wandb")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DATA", "CACHE", "CONFIG"):
            patch.setenv(f"WANDB_{name}_DIR", str(folder / name.lower()))
        patch.setenv("WANDB_MODE", "offline")
        patch.setenv("WANDB_SILENT", "true")
        logger = WandbLogger(save_dir=folder, offline=True)
        WandbWriter().write_refinement(refined_report(), [object(), logger])
        WandbWriter(html=False).write_refinement(refined_report(neurons=0, logger_step=None), [logger])
        wandb.finish()
        wandb.teardown()
    log = run_log(folder)
    return log.parent / "files", list(history(log)), list(artifacts(log))


def test_scalars_table_and_page_stand_in_one_row(offline_run):
    files, rows, _ = offline_run
    first, second = (row for row in rows if "trainer/global_step" in row)
    assert (first["trainer/global_step"], second["trainer/global_step"]) == (12_499, 12_500)
    metrics = {f"dissection/refinement/{name}" for name in refined_report().metrics}
    at = "dissection/refinement"
    assert {key for key in first if key.startswith(at)} == metrics | {f"{at}/neurons", f"{at}/report"}
    assert first[f"{at}/auc_gain"] == pytest.approx(refined_report().metrics["auc_gain"])
    assert "How labels were searched for" in (files / first[f"{at}/report"]["path"]).read_text(encoding="utf-8")
    assert {key for key in second if key.startswith(at)} == {f"{at}/refined", f"{at}/neurons"}


def test_the_table_holds_every_neuron_with_the_images_of_its_concept(offline_run):
    _, _, [logged, *_] = offline_run
    table = json.loads(logged["dissection/refinement/neurons.table.json"].read_text())
    assert table["columns"] == COLUMNS
    cells = [dict(zip(COLUMNS, row, strict=True)) for row in table["data"]]
    assert [cell["label"] for cell in cells[15:22]] == list(LABELS)
    assert (cells[18]["label_before"], cells[18]["senses"][:13]) == ("ocean at dusk", "=HYPERLINK(1)")
    assert [cells[18][name] for name in ("auc_before", "auc", "auc_low", "auc_high")] == pytest.approx(
        [0.66, 0.94, 0.8775, 1.0]
    )
    assert cells[2]["concept_images"] is None
    report = refined_report()
    neuron = report.neurons[18]
    shown = Image.open(logged[cells[18]["concept_images"]["path"]]).convert("RGB")
    own = [report.pictures[number] for number in neuron.trials[-1].image_ids]
    meant = montage(own, WandbWriter.tile_size)
    assert shown.size == meant.size
    coarse, meant_coarse = (np.asarray(picture.reduce(8)).astype(int) for picture in (shown, meant))
    assert np.abs(coarse - meant_coarse).mean() < 4


@pytest.mark.usefixtures("offline_wandb")
def test_of_many_neurons_the_first_are_in_the_table(caplog):
    with caplog.at_level(logging.INFO):
        table = refinement_table(refined_report(), max_rows=8, max_montages=2, tile_size=32)
    assert len(table.data) == 8
    assert [row[-1] is None for row in table.data] == [False] * 2 + [True] * 6
    assert "the first 8 of 30 neurons" in caplog.text


@pytest.mark.usefixtures("offline_wandb")
def test_a_page_that_is_too_large_is_not_sent(caplog):
    report = replace(refined_report(), pictures={})
    assert refinement_page(report, max_bytes=5_000_000) is not None
    with caplog.at_level(logging.INFO):
        assert refinement_page(report, max_bytes=50_000) is None
    assert "is not sent to W&B" in caplog.text


@pytest.mark.usefixtures("offline_wandb")
def test_a_page_that_is_too_large_is_left_out():
    payloads = []
    run = type("Run", (), {"log": lambda _, payload: payloads.append(payload)})()
    logger = object.__new__(WandbLogger)
    logger._experiment = run
    WandbWriter(max_dashboard_bytes=1_000).write_refinement(refined_report(pictures={}), [logger])
    assert "dissection/refinement/report" not in payloads[0]
