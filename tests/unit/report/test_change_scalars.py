import math
from types import SimpleNamespace

import pytest

from lightning_dissect.history import curves
from lightning_dissect.report import change_values, early_stop_warnings, metric_values
from tests.helpers.label_history import history_of, report_of


def last_values(*dissections):
    found = curves(history_of(*dissections))
    return {layer: {name: values[-1] for name, values in of_layer.items()} for layer, of_layer in found.items()}


def test_each_layer_and_all_of_them_have_their_keys():
    values = last_values({"a.b": ["x", "y"], "c": ["x"]}, {"a.b": ["x", "z"], "c": ["x"]})
    logged = change_values(report_of(1, {"a.b": ["x", "z"], "c": ["x"]}, name="mine"), values, alarms=2)
    assert logged["mine/churn"] == pytest.approx(1 / 3)
    assert logged["mine/a_b/churn"] == 0.5
    assert logged["mine/c/churn"] == 0
    assert logged["mine/alarms"] == 2
    assert len(logged) == 3 * 12 + 1


def test_the_keys_are_those_of_every_dissection_and_no_others():
    report = report_of(0, {"a": ["x"], "": ["y"]})
    first, failed = change_values(report, last_values({"a": ["x"], "": ["y"]}), 0), change_values(report, {}, 0)
    assert first.keys() == failed.keys()
    assert not first.keys() & metric_values(report).keys()
    assert all(math.isnan(value) for key, value in first.items() if not key.endswith("/alarms"))


def test_coverage_is_the_number_of_distinct_labels():
    words = ["x", "y|z", "?w", "-", "x"]
    assert last_values(words)[""]["coverage"] == metric_values(report_of(0, words))["dissection/distinct_labels"]


def test_who_would_stop_for_nan_is_warned_of():
    def monitor(key, check_finite=True):
        return SimpleNamespace(monitor=key, check_finite=check_finite)

    assert early_stop_warnings([monitor("dissection/fc/churn"), monitor("dissection/half_life")], "dissection") == [
        "SimpleNamespace stops at the first validation, where 'dissection/fc/churn' is NaN. Set check_finite=False.",
        "SimpleNamespace stops at the first validation, where 'dissection/half_life' is NaN. Set check_finite=False.",
    ]
    harmless = [monitor("dissection/churn", check_finite=False), monitor("other/churn"), monitor(None), object()]
    harmless += [
        monitor("dissection/quality"),
        monitor("dissection/alarms"),
        SimpleNamespace(monitor="dissection/lost"),
    ]
    assert early_stop_warnings(harmless, "dissection") == []
