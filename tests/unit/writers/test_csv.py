import csv
from dataclasses import replace
from pathlib import Path

import pytest

from lightning_dissect.report.evaluation_rows import EVALUATION_COLUMNS
from lightning_dissect.report.refinement_rows import REFINEMENT_COLUMNS, TRIAL_COLUMNS
from lightning_dissect.types import LayerDissection, NeuronLabel
from lightning_dissect.writers.csv import CSVWriter
from tests.helpers.refined import LABELS, refined_report
from tests.helpers.small_report import HOSTILE, evaluated_report, judged_report, small_report


def _read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_hostile_labels_are_read_back_letter_for_letter(tmp_path):
    CSVWriter().write(small_report(tmp_path), [])
    rows = _read(tmp_path / "descriptions.csv")
    assert [row["description"] for row in rows] == [*HOSTILE, "zebra", "apple"]
    assert rows[-1] == {"layer": "head", "unit": "6", "description": "apple", "similarity": "1.5"}
    assert (tmp_path / "descriptions.csv").read_text().startswith("layer,unit,description,similarity")


def test_neurons_hold_the_newest_dissection_with_formulas_made_inert(tmp_path):
    for epoch in (1, 2):
        CSVWriter().write(small_report(tmp_path, epoch=epoch), [])
    rows = _read(tmp_path / "neurons.csv")
    assert len(rows) == 10
    assert {row["epoch"] for row in rows} == {"2"}
    inert = [f"'{label}" if label.startswith("=") else label for label in HOSTILE]
    assert [row["label"] for row in rows] == [*inert, "", "", "zebra", "apple"]
    assert (rows[6]["status"], rows[6]["score"], rows[6]["quality"]) == ("dead", "", "")
    assert rows[8]["quality"] == "-0.25"


def test_metrics_have_columns_and_nan_is_an_empty_cell(tmp_path):
    CSVWriter().write(judged_report(tmp_path), [])
    rows, layers = _read(tmp_path / "neurons.csv"), _read(tmp_path / "layers.csv")
    assert [(row["iou"], row["recall"]) for row in rows[-3:]] == [("", ""), ("", "0.5"), ("0.75", "0.5")]
    assert (layers[1]["iou"], layers[1]["iou_undefined"], layers[1]["spread"]) == ("0.75", "1", "")


def test_a_history_from_before_there_were_metrics_goes_on(tmp_path):
    CSVWriter().write(small_report(tmp_path, cycle=1), [])
    CSVWriter().write(judged_report(tmp_path), [])
    assert [row["iou"] for row in _read(tmp_path / "layers.csv")] == ["", "", "0.3125", "0.75"]


def test_layers_keep_the_history_and_a_resumed_run_repeats_no_cycle(tmp_path):
    for cycle in (0, 1, 2, 1):
        CSVWriter().write(small_report(tmp_path, cycle=cycle, step=10 * cycle), [])
    rows = _read(tmp_path / "layers.csv")
    assert [(row["cycle"], row["layer"]) for row in rows] == [
        ("0", "body.conv"),
        ("0", "head"),
        ("1", "body.conv"),
        ("1", "head"),
    ]
    assert rows[1]["quality"] == "0.25"
    assert rows[1]["dead"] == "1"


def test_a_foreign_history_is_refused_and_no_file_is_touched(tmp_path):
    CSVWriter().write(small_report(tmp_path), [])
    (tmp_path / "layers.csv").write_text("a,b\n1,2\n")
    before = (tmp_path / "neurons.csv").read_text()
    with pytest.raises(ValueError, match=r"Expected '.*layers\.csv' to have a column 'cycle'"):
        CSVWriter().write(small_report(tmp_path, epoch=9), [])
    assert (tmp_path / "neurons.csv").read_text() == before


def test_a_report_that_cannot_be_written_leaves_the_files_of_the_one_before(tmp_path):
    CSVWriter().write(small_report(tmp_path), [])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(AttributeError):
        CSVWriter().write(small_report(tmp_path, cycle=3, layers=(None,)), [])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    CSVWriter().write(small_report(), [])
    assert not list(Path().iterdir())


def test_a_layer_of_dead_neurons_has_no_quality(tmp_path):
    report = small_report(tmp_path)
    layer = type(report.layers[0])("fc", (NeuronLabel("fc", 0, "dead"),))
    CSVWriter().write(small_report(tmp_path, layers=(layer,)), [])
    [row] = _read(tmp_path / "layers.csv")
    assert (row["neurons"], row["quality"]) == ("1", "")
    assert _read(tmp_path / "descriptions.csv") == []


def test_judged_images_have_a_table_with_formulas_made_inert(tmp_path):
    report = evaluated_report(tmp_path)
    neurons = (
        *report.layers[0].neurons[:3],
        replace(report.neurons[0], unit=9, candidates=report.neurons[3].candidates),
    )
    CSVWriter().write(replace(report, layers=(LayerDissection("body.conv", neurons),)), [])
    rows = _read(tmp_path / "evaluations.csv")
    assert tuple(rows[0]) == EVALUATION_COLUMNS
    assert len(rows) == 5 * (3 + 2 + 2)
    assert [row["label"] for row in rows[::5]] == [
        *(HOSTILE[unit] for unit in (0, 0, 1, 1, 2)),
        *["'=HYPERLINK(1)"] * 2,
    ]
    unanswered = rows[10]
    assert (unanswered["evaluator"], unanswered["sample_id"], unanswered["role"]) == ("vqa", "1", "top")
    assert (unanswered["score"], unanswered["answer"]) == ("", "")
    assert [row["vqa"] for row in _read(tmp_path / "neurons.csv")] == ["yes", "no", "yes", "yes"]


def test_a_dissection_without_verdicts_keeps_the_newest_ones(tmp_path):
    CSVWriter().write(evaluated_report(tmp_path, cycle=1), [])
    before = (tmp_path / "evaluations.csv").read_bytes()
    CSVWriter().write(small_report(tmp_path, cycle=2), [])
    assert (tmp_path / "evaluations.csv").read_bytes() == before
    assert {row["cycle"] for row in _read(tmp_path / "evaluations.csv")} == {"1"}
    CSVWriter().write(evaluated_report(tmp_path, cycle=3), [])
    assert {row["cycle"] for row in _read(tmp_path / "evaluations.csv")} == {"3"}


def test_without_evaluators_there_is_no_table_of_judged_images(tmp_path):
    CSVWriter().write(small_report(tmp_path), [])
    assert not (tmp_path / "evaluations.csv").exists()


def test_the_history_keeps_rates_when_nothing_judges_any_more(tmp_path):
    CSVWriter().write(evaluated_report(tmp_path, cycle=1), [])
    CSVWriter().write(small_report(tmp_path, cycle=2), [])
    rows = _read(tmp_path / "layers.csv")
    assert [row["vqa_evaluated"] for row in rows] == ["3", "1", "", ""]
    assert [row["proportion_shuffled_rate"] for row in rows] == ["0.25", "", "", ""]


def test_a_search_for_labels_has_a_row_per_neuron_and_one_per_trial(tmp_path):
    report = refined_report(tmp_path)
    CSVWriter().write_refinement(report, [])
    neurons, trials = (_read(report.folder / name) for name in ("refinement.csv", "trials.csv"))
    assert tuple(neurons[0]) == REFINEMENT_COLUMNS
    assert tuple(trials[0]) == TRIAL_COLUMNS
    assert len(neurons) == 30
    assert len(trials) == sum(len(neuron.trials) for neuron in report.neurons)
    labels = [row["label"] for row in neurons[15:22]]
    assert labels == [f"'{label}" if label.startswith("=") else label for label in LABELS]
    assert (neurons[2]["auc"], neurons[2]["label"], neurons[2]["trials"]) == ("", "", "0")
    assert trials[1]["answer"] == "Another word for the same."


def test_without_a_folder_no_table_of_a_search_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    CSVWriter().write_refinement(refined_report(neurons=0), [])
    assert not list(Path().iterdir())
