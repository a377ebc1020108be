import math
import re
from dataclasses import dataclass

import pytest
import torch

from lightning_dissect.metrics import (
    AUPRC,
    METRICS,
    MetricTraits,
    PearsonCorrelation,
    Recall,
    chosen_metrics,
    describe_metric,
    passing_metrics,
)
from lightning_dissect.metrics.chosen import RESERVED
from lightning_dissect.report.rows import LAYER_COLUMNS, NEURON_COLUMNS
from lightning_dissect.report.scalars import metric_values
from tests.helpers.small_report import small_report


@dataclass(frozen=True)
class HTTPDistance2D:
    """Lower is better; states no traits."""

    power: float = 1.0
    higher_is_better = False

    def score(self, activations, concept_presence):
        return torch.cdist(activations.T, concept_presence.T)


class Plain:
    def score(self, activations, concept_presence):
        return activations.T @ concept_presence


class Quality(Plain):
    pass


class RecallUndefined(Plain):
    pass


def names(*metrics):
    return [metric.name for metric in chosen_metrics(metrics)]


def test_names_are_those_of_the_registry_or_of_the_class():
    assert names(*METRICS) == list(METRICS)
    assert names(AUPRC(), PearsonCorrelation(), HTTPDistance2D(), Plain()) == [
        "auprc",
        "correlation",
        "http_distance2_d",
        "plain",
    ]


def test_a_registered_class_and_a_specification_give_names_that_keys_can_hold(monkeypatch):
    monkeypatch.setattr(METRICS, "_factories", dict(METRICS._factories))
    METRICS.register("my metric")(Plain)
    METRICS.register("of")(lambda text: Recall(float(text)))
    assert names(Plain(), "of:0.05") == ["my_metric", "of"]


def test_objects_of_one_class_are_told_apart_by_what_differs():
    assert names("auprc", AUPRC(alpha=0.05), "recall", Recall(alpha=None, max_bytes=9)) == [
        "auprc_alpha_0_01",
        "auprc_alpha_0_05",
        "recall_alpha_0_01",
        "recall_alpha_None",
    ]


@pytest.mark.parametrize("metrics", [("auprc", "auprc"), ("auprc", AUPRC(max_bytes=9)), (Plain(), Plain())])
def test_metrics_that_nothing_tells_apart_are_refused(metrics):
    with pytest.raises(ValueError, match=r"`metrics` to have distinct names but got '(auprc|plain)' more than once"):
        chosen_metrics(metrics)


def test_names_that_mean_something_else_are_refused():
    with pytest.raises(ValueError, match="names that reports do not use but got 'quality'"):
        chosen_metrics([Quality()])
    with pytest.raises(ValueError, match="distinct names but got 'recall_undefined' more than once"):
        chosen_metrics(["recall", RecallUndefined()])


def test_every_column_and_key_is_reserved():
    keys = {key.rpartition("/")[2] for key in metric_values(small_report())}
    assert {*NEURON_COLUMNS, *LAYER_COLUMNS, *keys} <= RESERVED


def test_what_is_no_list_of_metrics_is_refused():
    with pytest.raises(ValueError, match=r"a metric or one of \['accuracy', .*but got 'auprk'"):
        chosen_metrics(["auprk"])
    with pytest.raises(TypeError, match="`metrics` to be a list of names or objects but got 'auprc'"):
        chosen_metrics("auprc")
    for metric in (AUPRC, object()):
        with pytest.raises(TypeError, match=f"objects with a method `score` but got {re.escape(repr(metric))}"):
            chosen_metrics([metric])


@pytest.mark.parametrize("name", list(METRICS))
def test_descriptions_tell_the_traits(name):
    [subject] = chosen_metrics([name])
    metric, found = METRICS.resolve(name), describe_metric(subject)
    assert isinstance(metric, MetricTraits)
    assert (found.higher_is_better, found.score_range) == (metric.higher_is_better, metric.score_range)
    tests = (metric.passes_missing_labels, metric.passes_extra_labels)
    assert (found.passes_missing_labels, found.passes_extra_labels) == tests
    assert len(found.failures) == tests.count(False)
    assert found.note == metric.verdict_note
    assert found.form.startswith(type(metric).__name__)
    assert "max_bytes" not in found.form
    assert (name in passing_metrics()) == all(tests)


def test_of_a_metric_without_traits_little_is_known():
    found = [describe_metric(subject) for subject in chosen_metrics([HTTPDistance2D(2.0), Plain()])]
    assert [description.form for description in found] == ["HTTPDistance2D(power=2.0)", "Plain"]
    assert [description.higher_is_better for description in found] == [False, True]
    assert all(description.score_range == (-math.inf, math.inf) for description in found)
    assert not any(description.failures for description in found)
    assert found[0].passes_missing_labels is None


def test_the_published_passing_set_is_among_those_that_pass():
    assert {"auprc", "correlation", "cosine", "f1", "iou"} <= set(passing_metrics())
    assert not {"recall", "precision", "accuracy", "auc", "mad"} & set(passing_metrics())
