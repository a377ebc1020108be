import math

import pytest

from lightning_dissect.report.rows import (
    LAYER_COLUMNS,
    NEURON_COLUMNS,
    layer_columns,
    layer_rows,
    neuron_columns,
    neuron_rows,
)
from lightning_dissect.report.scalars import metric_values
from lightning_dissect.types import LabelSpecificity, LayerDissection, NeuronLabel, Relative, ScoredConcept
from tests.helpers.small_report import HOSTILE, doubtful_report, evaluated_report, judged_report, small_report


def test_there_is_one_row_per_neuron_with_the_named_columns():
    report = small_report()
    rows = neuron_rows(report)
    assert [(row["layer"], row["unit"]) for row in rows] == [(neuron.layer, neuron.unit) for neuron in report.neurons]
    assert all(tuple(row) == NEURON_COLUMNS for row in rows)
    assert [row["label"] for row in rows] == [*HOSTILE, "", "", "zebra", "apple"]
    known = {name: value for name, value in rows[-1].items() if not isinstance(value, float) or math.isfinite(value)}
    assert known == {
        "layer": "head",
        "unit": 6,
        "label": "apple",
        "score": 1.5,
        "quality": 0.75,
        "contenders": "",
        "runner_ups": "not apple (0.75)",
        "status": "labelled",
        "specificity": "",
        "epoch": 2,
        "step": 30,
    }


def test_a_neuron_without_a_label_has_no_numbers():
    dead = neuron_rows(small_report())[len(HOSTILE)]
    assert dead["status"] == "dead"
    assert math.isnan(dead["score"])
    assert math.isnan(dead["quality"])


def test_a_row_says_how_far_to_trust_and_withholds_a_label():
    clear, ambiguous, unclear, dead = neuron_rows(doubtful_report())
    assert (clear["label"], clear["quality_low"], clear["quality_high"], clear["contenders"]) == (
        "cat",
        0.7,
        0.9,
        "cat",
    )
    assert (clear["q_chance"], clear["q_untrained"]) == (0.001, 0.01)
    assert (ambiguous["label"], ambiguous["contenders"]) == ("dog", "dog; not dog")
    assert (unclear["label"], unclear["status"], unclear["quality"]) == ("", "no_clear_function", 0.1)
    assert math.isnan(dead["q_chance"])
    [row] = layer_rows(doubtful_report())
    assert [row[status] for status in ("labelled", "ambiguous", "no_clear_function", "dead")] == [1, 1, 1, 1]
    assert metric_values(doubtful_report())["dissection/fc/no_clear_function_share"] == 0.25


def test_layer_rows_count():
    first, second = layer_rows(small_report())
    assert tuple(first) == LAYER_COLUMNS
    assert second == {
        "epoch": 2,
        "step": 30,
        "cycle": 2,
        "layer": "head",
        "neurons": 4,
        "labelled": 2,
        "ambiguous": 0,
        "no_clear_function": 0,
        "dead": 1,
        "non_finite": 1,
        "distinct_labels": 2,
        "quality": pytest.approx(0.25),
    }
    assert isinstance(first["neurons"], int)


def test_metrics_have_columns_after_quality():
    report = judged_report()
    neurons, layers = neuron_rows(report), layer_rows(report)
    assert all(tuple(row) == neuron_columns(report) for row in neurons)
    assert all(tuple(row) == layer_columns(report) for row in layers)
    place = NEURON_COLUMNS.index("quality") + 1
    assert neuron_columns(report)[place : place + 4] == ("iou", "recall", "distance", "spread")
    assert (neurons[-1]["iou"], neurons[-1]["recall"]) == (0.75, 0.5)
    assert math.isnan(neurons[-2]["iou"])
    head = layers[1]
    assert (head["iou"], head["iou_undefined"], head["recall"], head["recall_undefined"]) == (0.75, 1, 0.5, 0)
    assert math.isnan(head["spread"])
    assert head["spread_undefined"] == 2
    assert isinstance(head["iou_undefined"], int)


def judged(unit, verdict):
    kin = {side: Relative(f"{side} one", side, 0.5, 0.1, 0.05, 0.15) for side in ("parent", "child", "sibling")}
    found = LabelSpecificity("dog", verdict, 0.4, kin["parent"], kin["child"], kin["sibling"])
    return NeuronLabel("fc", unit, "labelled", (ScoredConcept("dog", 0.5, 0.4),), specificity=found)


def test_specificity_is_a_column_and_its_shares_are_scalars():
    verdicts = ("too specific", "too generic", "too generic", "beside", "fits", "undecided")
    neurons = (*(judged(unit, verdict) for unit, verdict in enumerate(verdicts)), NeuronLabel("fc", 6, "dead"))
    report = small_report(layers=(LayerDissection("fc", neurons), LayerDissection("head", ())))
    assert [row["specificity"] for row in neuron_rows(report)] == [
        "too specific (parent one)",
        "too generic (child one)",
        "too generic (child one)",
        "beside (sibling one)",
        "fits",
        "undecided",
        "",
    ]
    values = metric_values(report)
    assert values["dissection/fc/too_specific_share"] == values["dissection/too_specific_share"] == pytest.approx(1 / 6)
    assert values["dissection/fc/too_generic_share"] == pytest.approx(2 / 6)
    assert "dissection/head/too_generic_share" not in values


def test_evaluators_have_columns_after_quality_and_are_empty_where_they_did_not_judge():
    report = evaluated_report()
    rows, layers = neuron_rows(report), layer_rows(report)
    assert all(tuple(row) == neuron_columns(report) for row in rows)
    assert all(tuple(row) == layer_columns(report) for row in layers)
    place = NEURON_COLUMNS.index("quality") + 1
    assert neuron_columns(report)[place : place + 4] == ("vqa", "vqa_precision", "vqa_recall", "proportion")
    assert [row["vqa"] for row in rows] == ["yes", "no", "yes", "", "", "", "", "", "", "yes"]
    assert [row["proportion"] for row in rows[:3]] == ["yes", "no", ""]
    assert {row["silent"] for row in rows} == {""}
    assert (rows[0]["vqa_precision"], rows[0]["vqa_recall"]) == (0.5, 0.25)
    assert math.isnan(rows[1]["vqa_recall"])
    assert math.isnan(rows[3]["vqa_precision"])
    body, head = layers
    assert (body["vqa_rate"], body["vqa_shuffled_rate"], body["vqa_evaluated"]) == (pytest.approx(2 / 3), 0.25, 3)
    assert isinstance(body["vqa_evaluated"], int)
    assert (head["proportion_evaluated"], head["silent_evaluated"]) == (0, 0)
    assert math.isnan(head["proportion_rate"])
