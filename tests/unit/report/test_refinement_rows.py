import math

import pytest

from lightning_dissect.label_refinement import LabelRefinement
from lightning_dissect.refinement_report import RefinementReport
from lightning_dissect.report.refinement_rows import (
    REFINEMENT_COLUMNS,
    TRIAL_COLUMNS,
    chosen_trial,
    concept_score,
    refinement_rows,
    start_score,
    trial_rows,
)
from tests.helpers.refined import HOSTILE, refined_report


def _row(layer, unit):
    [row] = [row for row in refinement_rows(refined_report()) if (row["layer"], row["unit"]) == (layer, unit)]
    return row


def test_there_is_a_row_per_neuron_with_all_columns_in_order():
    report = refined_report()
    rows = list(refinement_rows(report))
    assert len(rows) == 30
    assert {tuple(row) for row in rows} == {REFINEMENT_COLUMNS}
    assert [row["label"] for row in rows[15:21]] == list(HOSTILE)
    assert {(row["epoch"], row["step"], row["cycle"]) for row in rows} == {(4, 12_500, 3)}


def test_a_row_holds_what_was_found():
    row = _row("body.conv.pointwise", 3)
    assert (row["label_before"], row["concept"]) == ("ocean at dusk", "=HYPERLINK(1)")
    assert (row["score_before"], row["score"], row["score_gain"]) == (0.8, 3.125, pytest.approx(2.325))
    assert [row[name] for name in ("auc_before", "auc", "mad")] == pytest.approx([0.66, 0.94, 2.5])
    assert (row["auc_low"], row["auc_high"]) == (pytest.approx(0.8775), 1.0)
    assert row["senses"].startswith("=HYPERLINK(1) 70 %; ")
    assert row["senses"].endswith(" 30 %")
    assert (row["new"], row["distance"]) == ("no", 0.125)
    assert (row["images"], row["judging_images"], row["calls"], row["lookups"], row["trials"]) == (15, 100, 11, 15, 19)


def test_what_is_withheld_keeps_its_concept_and_its_scores():
    row = _row("layer4", 1)
    assert (row["label"], row["concept"], row["new"], row["senses"]) == ("", "fog", "", "")
    assert row["score_gain"] == pytest.approx(0.07)
    assert math.isnan(row["distance"])


def test_what_was_not_tried_is_unknown():
    row = _row("layer4", 2)
    assert (row["label"], row["concept"], row["stopped"], row["trials"]) == ("", "", "not scorable", 0)
    unknown = ("score_before", "score", "score_gain", "auc_before", "auc", "auc_low", "auc_high", "mad", "q_value")
    assert all(math.isnan(row[name]) for name in unknown)
    neuron = refined_report().neurons[2]
    assert chosen_trial(neuron) is None
    assert math.isnan(concept_score(neuron))


def test_without_a_label_before_there_is_no_gain():
    row = _row("layer4", 3)
    assert (row["label_before"], row["score"]) == ("", 3.25)
    assert math.isnan(row["score_gain"])
    assert math.isnan(start_score(refined_report().neurons[3]))


def test_rows_of_some_neurons():
    report = refined_report()
    assert [row["unit"] for row in refinement_rows(report, report.neurons[7:9])] == [7, 8]


def test_there_is_a_row_per_trial_and_the_best_score_never_falls():
    report = refined_report()
    rows = list(trial_rows(report))
    assert len(rows) == sum(len(neuron.trials) for neuron in report.neurons)
    assert {tuple(row) for row in rows} == {TRIAL_COLUMNS}
    own = [row for row in rows if (row["layer"], row["unit"]) == ("layer4", 5)]
    assert [row["trial"] for row in own] == list(range(1, 20))
    bests = [row["best_score"] for row in own]
    assert bests == sorted(bests)
    assert [row["outcome"] for row in own[6:10]] == ["repeat", "refused", "unreadable", "failed"]
    assert (own[4]["origin"], own[4]["images"], own[4]["new_images"]) == ("bank", 5, 0)
    assert own[-1]["answer"].startswith("Step 10")


def test_before_anything_is_scored_there_is_no_best_score():
    quiet = refined_report().neurons[0].trials[1:]
    neuron = LabelRefinement("fc", 0, "", "", "", quiet, "steps")
    assert all(math.isnan(row["best_score"]) for row in trial_rows(RefinementReport(0, 0, 0, (neuron,))))
