import math

import pytest

from lightning_dissect.label_evaluation import RATES
from lightning_dissect.report.scalars import judged_values, key_name, key_names, metric_values
from lightning_dissect.types import LayerDissection
from tests.helpers.small_report import HOSTILE, evaluated_report, judged_report, small_report


@pytest.mark.parametrize(
    ("layer", "key"), [("layer4.1.conv2", "layer4_1_conv2"), ("a b/ü", "a_b__"), ("", "_"), ("plain_1", "plain_1")]
)
def test_key_name_keeps_letters_digits_and_underscores(layer, key):
    assert key_name(layer) == key


def test_layers_that_share_a_key_get_distinct_stable_ones():
    keys = key_names(["a.b", "a_b", "c.d"])
    assert keys["c.d"] == "c_d"
    assert len(set(keys.values())) == 3
    assert key_names(["a_b", "a.b"])["a.b"] == keys["a.b"]
    assert all(key_name(key) == key for key in keys.values())


def test_metric_values_cover_all_layers_and_each():
    values = metric_values(small_report(name="probe"))
    assert values["probe/labelled"] == 8
    assert values["probe/labelled_share"] == pytest.approx(0.8)
    assert values["probe/dead"] == values["probe/head/dead"] == 1
    assert values["probe/head/dead_share"] == 0.25
    assert values["probe/head/quality"] == pytest.approx(0.25)
    assert values["probe/body_conv/distinct_labels"] == len(HOSTILE)
    assert len(values) == 3 * 12
    assert all(isinstance(value, float) for value in values.values())


def test_metrics_can_be_monitored():
    values = metric_values(judged_report())
    assert values["dissection/head/iou"] == 0.75
    assert values["dissection/iou"] == pytest.approx(sum(0.125 * unit for unit in (0, 1, 2, 3, 4, 5, 6)) / 7)
    assert values["dissection/iou_undefined"] == values["dissection/head/iou_undefined"] == 1
    assert values["dissection/body_conv/distance"] == pytest.approx(0.25 * 2.5)
    empty = metric_values(judged_report(layers=(LayerDissection("head", ()),)))
    assert math.isnan(empty["dissection/head/iou"])
    assert empty["dissection/iou_undefined"] == 0


def test_the_docstring_names_every_key():
    names = {key.rpartition("/")[2] for key in metric_values(small_report())}
    assert all(f"``<at>{name.removesuffix('_share')}``" in metric_values.__doc__ for name in names)
    assert all(f"``<at>{name}``" in metric_values.__doc__ for name in ("<metric>", "<metric>_undefined"))
    assert all(f"``<at><evaluator>_{rate}``" in metric_values.__doc__ for rate in RATES)


def test_no_neurons_have_no_share_and_no_quality():
    values = metric_values(small_report(layers=(LayerDissection("head", ()),)))
    assert math.isnan(values["dissection/head/labelled_share"])
    assert math.isnan(values["dissection/quality"])


def test_without_a_hierarchy_there_are_no_shares():
    assert not [key for key in metric_values(small_report()) if "specific" in key or "generic" in key]


def test_every_evaluator_can_be_monitored_for_every_layer_and_overall():
    values = metric_values(evaluated_report(name="probe"))
    for at in ("probe", "probe/body_conv", "probe/head"):
        for evaluator in ("vqa", "proportion", "silent"):
            assert {f"{at}/{evaluator}_{rate}" for rate in RATES} <= set(values)
    assert values["probe/vqa_rate"] == 0.75
    assert values["probe/body_conv/vqa_rate"] == pytest.approx(2 / 3)
    assert values["probe/vqa_evaluated"] == 4
    assert values["probe/vqa_precision"] == pytest.approx((0.5 + 0.625 + 0.75 + 1.25) / 4)
    assert values["probe/vqa_recall"] == 0.25
    assert values["probe/vqa_shuffled_rate"] == 0.25
    assert values["probe/vqa_discrimination"] == 0.75
    assert values["probe/vqa_control_rate"] == 0.5
    assert values["probe/silent_evaluated"] == 0
    assert math.isnan(values["probe/silent_rate"])
    assert math.isnan(values["probe/head/proportion_rate"])
    assert all(isinstance(value, float) for value in values.values())


def test_what_judges_say_is_named_by_judge():
    report = judged_report(evaluators=evaluated_report().evaluators)
    assert list(judged_values(report, ()))[6:10] == ["spread", "spread_undefined", "vqa_rate", "vqa_shuffled_rate"]
    assert judged_values(small_report(), ()) == {}
