import math

from lightning_dissect.report.evaluation_rows import EVALUATION_COLUMNS, evaluation_rows
from tests.helpers.small_report import HOSTILE, evaluated_report, small_report


def test_there_is_a_row_for_every_judged_image_of_every_judge():
    rows = list(evaluation_rows(evaluated_report()))
    assert all(tuple(row) == EVALUATION_COLUMNS for row in rows)
    assert len(rows) == 5 * (4 + 2)
    assert [row["evaluator"] for row in rows[::5]] == ["vqa", "proportion", "vqa", "proportion", "vqa", "vqa"]
    assert rows[3] == {
        "layer": "body.conv",
        "unit": 0,
        "label": HOSTILE[0],
        "sample_id": 3,
        "role": "decile",
        "decile": 5,
        "activation": 0.5,
        "weight": 4.0,
        "evaluator": "vqa",
        "score": 0.25,
        "answer": "no",
        "epoch": 2,
        "step": 30,
        "cycle": 2,
    }


def test_an_image_without_an_answer_has_neither_score_nor_answer():
    [row] = [
        row for row in evaluation_rows(evaluated_report()) if math.isnan(row["score"]) and row["evaluator"] == "vqa"
    ]
    assert (row["unit"], row["sample_id"], row["answer"]) == (1, 1, "")


def test_without_evaluators_there_are_no_rows():
    assert not list(evaluation_rows(small_report()))
