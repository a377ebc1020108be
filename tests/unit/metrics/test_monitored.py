from types import SimpleNamespace

import pytest

from lightning_dissect.metrics import chosen_metrics, describe_metric, monitor_warnings
from lightning_dissect.types import MetricDescription

METRICS = [describe_metric(subject) for subject in chosen_metrics(["auprc", "recall", "precision", "accuracy"])]
LOSS = MetricDescription("loss", higher_is_better=False)


def warnings(key, mode="max", metrics=(*METRICS, LOSS)):
    return monitor_warnings([SimpleNamespace(monitor=key, mode=mode)], metrics, "dissection")


@pytest.mark.parametrize(
    ("metric", "tests"),
    [
        ("recall", ["extra-labels"]),
        ("precision", ["missing-labels"]),
        ("accuracy", ["missing-labels", "extra-labels"]),
    ],
)
@pytest.mark.parametrize("place", ["dissection", "dissection/layer4_1"])
def test_a_metric_that_fails_is_named_with_its_tests_and_those_that_pass(metric, tests, place):
    [text] = warnings(f"{place}/{metric}")
    assert text.startswith(f"SimpleNamespace monitors '{place}/{metric}', whose metric does not fall reliably")
    assert [test for test in ("missing-labels", "extra-labels") if f"fails the {test} test" in text] == tests
    assert "These pass both tests: auprc, " in text
    assert "correlation, cosine, f1, iou" in text


@pytest.mark.parametrize(
    "key",
    [
        "dissection/auprc",
        "dissection/fc/auprc",
        "dissection/quality",
        "dissection/recall_undefined",
        "other/recall",
        "val/dissection/recall",
        "dissection/a/b/recall",
        "dissection/f1",
        "recall",
        "val_loss",
        None,
        7,
    ],
)
def test_nothing_is_said_of_passing_or_foreign_keys(key):
    assert warnings(key) == []


def test_the_direction_is_checked():
    assert (
        "keeps the lowest 'dissection/quality' but higher is better. Set mode='max'"
        in warnings("dissection/quality", "min").pop()
    )
    assert (
        "keeps the highest 'dissection/loss' but lower is better. Set mode='min'"
        in warnings("dissection/loss", "max").pop()
    )
    assert warnings("dissection/loss", "min") == []
    assert warnings("dissection/auprc", mode="auto") == []
    assert len(warnings("dissection/recall", "min")) == 2


def test_each_complaint_is_made_once():
    monitors = [SimpleNamespace(monitor="dissection/recall"), SimpleNamespace(monitor="dissection/recall"), object()]
    assert len(monitor_warnings(monitors, METRICS, "dissection")) == 1
