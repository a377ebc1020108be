from dataclasses import replace

from lightning_dissect.report.answers import first_judge, image_answers, top_answers, verdict_text
from tests.helpers.small_report import evaluated_report, small_report


def test_answers_are_known_by_image_and_missing_where_there_is_none():
    first, second, *_ = evaluated_report().neurons
    assert image_answers(first, "vqa") == {0: True, 1: True, 2: True, 3: False, 4: False}
    assert image_answers(second, "vqa") == {2: True, 3: False, 4: False, 5: False}
    assert image_answers(first, "silent") == {}
    assert top_answers(second, "vqa") == [None, True]
    assert top_answers(second, "silent") == [None, None]


def test_a_verdict_counts_the_answers_to_top_images():
    report = evaluated_report()
    assert verdict_text(report.neurons[1], "vqa") == "vqa no, 1 of 1"
    assert verdict_text(report.neurons[-1], "vqa") == "vqa yes, 1 of 2"
    assert verdict_text(report.neurons[-1], "proportion") == ""


def test_the_first_judge_is_the_first_that_judged():
    report = evaluated_report()
    assert first_judge(report, report.neurons) == "vqa"
    reordered = replace(report, evaluators=report.evaluators[::-1])
    assert first_judge(reordered, reordered.neurons) == "proportion"
    assert first_judge(reordered, reordered.layers[1].neurons) == "vqa"
    assert first_judge(small_report(), small_report().neurons) == ""
