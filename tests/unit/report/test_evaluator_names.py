import pytest

from lightning_dissect.label_evaluation import RATES
from lightning_dissect.report.evaluator_names import TAKEN, check_evaluator_names
from lightning_dissect.report.rows import layer_columns, neuron_columns
from lightning_dissect.report.scalars import metric_values
from tests.helpers.small_report import evaluated_report, judged_report, small_report


def test_every_column_and_key_of_a_report_is_taken():
    report = small_report()
    keys = {key.rpartition("/")[2] for key in metric_values(report)}
    assert {*neuron_columns(report), *layer_columns(report), *keys} <= TAKEN


def test_accepted_names_give_every_column_and_key_one_meaning():
    report = judged_report(evaluators=evaluated_report().evaluators)
    check_evaluator_names(
        [evaluator.name for evaluator in report.evaluators], [metric.name for metric in report.label_metrics]
    )
    for columns in (neuron_columns(report), layer_columns(report)):
        assert len(set(columns)) == len(columns)


@pytest.mark.parametrize("name", ["quality", "montage", "too_specific_share", "dead", "iou", "iou_undefined"])
def test_what_means_something_else_is_refused(name):
    with pytest.raises(ValueError, match=f"nothing else in reports has but got '{name}', and '{name}' is taken"):
        check_evaluator_names([name], metrics=["iou"])


@pytest.mark.parametrize("rate", RATES)
def test_a_metric_called_like_a_rate_is_refused(rate):
    with pytest.raises(ValueError, match=f"got 'vqa', and 'vqa_{rate}' is taken"):
        check_evaluator_names(["vqa"], metrics=[f"vqa_{rate}"])


def test_an_evaluator_called_like_a_rate_of_another_or_twice_is_refused():
    with pytest.raises(ValueError, match="got 'vqa', and 'vqa_precision' is taken"):
        check_evaluator_names(["vqa", "vqa_precision"])
    with pytest.raises(ValueError, match="got 'vqa', and 'vqa' is taken"):
        check_evaluator_names(["vqa", "vqa"])


@pytest.mark.parametrize("name", ["", "a b", "a/b", "ü", "a\n"])
def test_names_that_keys_cannot_hold_are_refused(name):
    with pytest.raises(ValueError, match="Expected names of evaluators to be of letters, digits and '_' but got"):
        check_evaluator_names([name])
