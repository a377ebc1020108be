import io
from pathlib import Path

import numpy as np
import pytest
from lightning.pytorch.loggers import TensorBoardLogger
from PIL import Image

from lightning_dissect.report.montage import layer_montage
from lightning_dissect.types import LayerDissection, NeuronLabel
from lightning_dissect.writers.tensorboard import TensorBoardWriter
from tests.helpers.refined import refined_report
from tests.helpers.small_report import evaluated_report, judged_report, labelled, small_report


def _events(logger):
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    logger.experiment.flush()
    events = event_accumulator.EventAccumulator(logger.log_dir, size_guidance={"images": 0, "tensors": 0})
    return events.Reload()


def _text(events, tag):
    [event] = events.Tensors(f"{tag}/text_summary")
    return event.tensor_proto.string_val[0].decode()


def test_pictures_and_tables_stand_at_the_loggers_step(tmp_path):
    logger, report = TensorBoardLogger(tmp_path), small_report()
    TensorBoardWriter().write(report, [logger, object()])
    events = _events(logger)
    [event] = events.Images("dissection/head/top_images")
    assert event.step == 29
    shown = np.asarray(Image.open(io.BytesIO(event.encoded_image_string)))
    assert np.array_equal(shown, np.asarray(layer_montage(report.layers[1], report.images)))
    lines = _text(events, "dissection/head/neurons").splitlines()
    assert lines[0] == "head, epoch 2: 4 of 4 neurons"
    assert lines[4] == "| 6 | apple | 1.5 | 0.75 | nan | nan | nan | nan |  | not apple &#40;0.75&#41; | labelled |  |"
    assert lines[-1] == "| 1 |  | nan | nan | nan | nan | nan | nan |  |  | non&#95;finite |  |"


def test_metrics_have_columns(tmp_path):
    logger = TensorBoardLogger(tmp_path)
    TensorBoardWriter().write(judged_report(), [logger])
    lines = _text(_events(logger), "dissection/head/neurons").splitlines()
    assert lines[2].startswith("| unit | label | score | quality | iou | recall | distance | spread | quality-low")
    assert lines[4].startswith("| 6 | apple | 1.5 | 0.75 | 0.75 | 0.5 | 1.5 | nan | nan | nan")


def test_layers_have_a_table_of_their_own(tmp_path):
    logger = TensorBoardLogger(tmp_path)
    TensorBoardWriter().write(judged_report(), [logger])
    lines = _text(_events(logger), "dissection/layers").splitlines()
    assert lines[0] == "epoch 2"
    assert lines[2].startswith("| layer | neurons | labelled | ambiguous |")
    assert [line.split(" | ")[:3] for line in lines[4:]] == [["| body.conv", "6", "6"], ["| head", "4", "2"]]


def test_neurons_are_in_the_projector_unless_they_are_not_wanted(tmp_path):
    for wanted in (True, False):
        logger = TensorBoardLogger(tmp_path / str(wanted))
        TensorBoardWriter(projector=wanted).write(small_report(), [logger])
        assert (Path(logger.log_dir) / "projector_config.pbtxt").exists() == wanted


def test_no_label_breaks_its_row(tmp_path):
    logger = TensorBoardLogger(tmp_path)
    TensorBoardWriter().write(small_report(), [logger])
    rows = _text(_events(logger), "dissection/body_conv/neurons").splitlines()[4:]
    assert len(rows) == 6
    assert all(row.count("|") == 13 for row in rows)
    assert "<" not in "".join(rows)


def test_large_layers_are_spread_and_layers_without_pictures_have_none(tmp_path):
    logger = TensorBoardLogger(tmp_path)
    large = LayerDissection("fc", tuple(labelled("fc", unit, "x", unit / 50) for unit in range(50)))
    dead = LayerDissection("dead", (NeuronLabel("dead", 0, "dead"),))
    TensorBoardWriter(max_rows=5, max_neurons=2).write(small_report(layers=(large, dead), logger_step=None), [logger])
    events = _events(logger)
    assert events.Tags()["images"] == ["dissection/fc/top_images"]
    assert events.Images("dissection/fc/top_images")[0].step == 30
    lines = _text(events, "dissection/fc/neurons").splitlines()
    assert lines[0].endswith("5 of 50 neurons")
    assert [line.split(" | ")[0] for line in lines[4:]] == ["| 49", "| 37", "| 25", "| 13", "| 0"]


@pytest.mark.parametrize("name", ["max_rows", "max_neurons", "max_points"])
def test_numbers_must_be_positive(name):
    with pytest.raises(ValueError, match=f"Expected `{name}` to be greater than 0"):
        TensorBoardWriter(**{name: 0})


def test_verdicts_are_in_the_table_and_the_montage(tmp_path):
    logger, report = TensorBoardLogger(tmp_path), evaluated_report()
    TensorBoardWriter().write(report, [logger])
    events = _events(logger)
    lines = _text(events, "dissection/body_conv/neurons").splitlines()
    assert lines[2].startswith("| unit | label | score | quality | vqa | vqa-precision | vqa-recall | proportion |")
    assert all(line.count("|") == 22 for line in lines[4:])
    assert lines[-1].startswith("| 0 | &#60;/script&#62;")
    assert " | yes | 0.5 | 0.25 | yes | 0.5 | 0.25 |  | nan | nan | " in lines[-1]
    [event] = events.Images("dissection/head/top_images")
    shown = np.asarray(Image.open(io.BytesIO(event.encoded_image_string)))
    assert np.array_equal(shown, np.asarray(layer_montage(report.layers[1], report.images, judge="vqa")))


def test_a_search_for_labels_has_scalars_and_a_table(tmp_path):
    logger, report = TensorBoardLogger(tmp_path), refined_report()
    TensorBoardWriter(max_rows=20).write_refinement(report, [logger, object()])
    events = _events(logger)
    [event] = events.Scalars("dissection/refinement/auc_gain")
    assert (event.step, event.value) == (12_499, pytest.approx(report.metrics["auc_gain"]))
    lines = _text(events, "dissection/refinement").splitlines()
    assert lines[0] == "Search for labels, epoch 4: 20 of 30 neurons"
    assert len(lines) == 24
    assert lines[-2].startswith(
        "| body.conv.pointwise | 3 | ocean at dusk | &#61;HYPERLINK&#40;1&#41; | 2.325 | 0.66 |"
    )


def test_what_is_unknown_of_a_search_is_no_scalar(tmp_path):
    logger = TensorBoardLogger(tmp_path)
    TensorBoardWriter().write_refinement(refined_report(neurons=0, logger_step=None), [logger])
    events = _events(logger)
    assert events.Tags()["scalars"] == ["dissection/refinement/refined"]
    assert events.Scalars("dissection/refinement/refined")[0].step == 12_500
