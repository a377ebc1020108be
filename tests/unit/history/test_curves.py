import math
from dataclasses import replace

import numpy as np
import pytest

from lightning_dissect.history import CURVES, DissectionHistory, RunCurves, curves
from tests.helpers.label_history import history_of, report_of

WORDS = ("a", "b", "c", "a|b", "b|c", "c|a", "?a", "?b", "-", "!")
DIRECTIONS = {"a": [1.0, 0.0], "b": [0.0, 1.0], "c": [0.6, 0.8], "rest": [1.0, 1.0]}


def random_reports(seed, count=8):
    generator = np.random.default_rng(seed)
    for cycle in range(count):
        layers = {name: generator.choice(WORDS, size).tolist() for name, size in (("x", 6), ("y", 9))}
        yield report_of(cycle, layers, stability=generator.uniform(0.5, 1), embeddings=DIRECTIONS)


def random_history(seed, count=8, dirpath=None):
    history = DissectionHistory(dirpath)
    for report in random_reports(seed, count):
        history.append(report)
    return history


def contenders(neuron):
    return set(neuron.trust.contenders)


def distance(one, other):
    first, second = (np.array(DIRECTIONS[name]) for name in (one, other))
    return 1 - first @ second / math.sqrt(first @ first) / math.sqrt(second @ second)


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else math.nan


def plain_curves(reports, layer):
    """The definitions again, neuron by neuron."""
    everything = [{(n.layer, n.unit): n for n in report.neurons if layer in ("", n.layer)} for report in reports]
    for place, now in enumerate(everything):
        before = everything[place - 1] if place else {}
        pairs = [(before[key], now[key]) for key in now if key in before]
        both = [(one, other) for one, other in pairs if one.label and other.label]
        names = {n.label for n in now.values()} - {""}
        earlier = {n.label for n in before.values()} - {""}
        recent = everything[max(0, place - 2) : place]
        yield {
            "churn": mean(one.label != other.label for one, other in both),
            "churn_floor": mean(1 - (one.trust.stability + other.trust.stability) / 2 for one, other in both),
            "changed_share": mean(not contenders(one) & contenders(other) for one, other in both),
            "semantic_churn": mean(distance(one.label, other.label) for one, other in both),
            "coverage": len(names),
            "gained": len(names - earlier) if before else math.nan,
            "lost": len(earlier - names) if before else math.nan,
            "births": sum(bool(now[key].label) and not any(e[key].label for e in everything[:place]) for key in now)
            if before
            else math.nan,
            "deaths": sum(o.status == "dead" != n.status for n, o in pairs) if before else math.nan,
            "resurrected": sum(n.status == "dead" and o.status not in ("dead", "non_finite") for n, o in pairs)
            if before
            else math.nan,
            "settled_share": mean(
                all(past[key].label and contenders(past[key]) & contenders(n) for past in recent) or False
                for key, n in now.items()
                if n.label
            )
            if place >= 2
            else math.nan,
            "quality": mean(n.quality for n in now.values() if n.candidates),
            "labelled_share": mean(n.status == "labelled" for n in now.values()),
            "dead_share": mean(n.status == "dead" for n in now.values()),
        }


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("layer", ["", "x", "y"])
def test_curves_are_what_their_definitions_say(seed, layer):
    found = curves(random_history(seed))[layer]
    assert list(found) == list(CURVES)
    for place, expected in enumerate(plain_curves(list(random_reports(seed)), layer)):
        for name, value in expected.items():
            assert found[name][place] == pytest.approx(value, abs=2e-3, nan_ok=True), (name, place)


def test_a_value_depends_on_what_came_before_alone():
    whole = curves(random_history(1))
    for count in range(1, 8):
        part = curves(random_history(1, count))
        for layer, found in part.items():
            for name, values in found.items():
                np.testing.assert_array_equal(values, whole[layer][name][:count])


def test_what_is_read_from_disk_has_the_same_curves(tmp_path):
    inside = curves(random_history(2, dirpath=tmp_path))
    outside = curves(DissectionHistory.load(tmp_path))
    for layer, found in inside.items():
        for name in CURVES:
            np.testing.assert_array_equal(found[name], outside[layer][name])


def test_an_unchanging_run_has_no_churn():
    words = ["a", "b|c", "?c", "-", "!"]
    found = curves(history_of(*[words] * 4, stability=0.9))[""]
    for name in ("churn", "changed_share", "semantic_churn", "gained", "lost", "births", "deaths", "resurrected"):
        np.testing.assert_array_equal(found[name], [np.nan, 0, 0, 0])
    np.testing.assert_allclose(found["churn_floor"][1:], 0.1, rtol=1e-6)
    np.testing.assert_array_equal(found["settled_share"], [np.nan, np.nan, 1, 1])
    assert np.isnan(found["half_life"]).all()


def test_coverage_is_what_came_and_what_went():
    found = curves(random_history(3))["y"]
    np.testing.assert_array_equal(np.diff(found["coverage"]), (found["gained"] - found["lost"])[1:])


def test_a_layer_that_comes_and_goes_is_undefined_between():
    history = history_of({"x": ["a"]}, {"y": ["a"], "x": ["b"]}, {"y": ["a"]}, {"x": ["a"], "y": ["b"]})
    found = curves(history)
    assert list(found) == ["", "x", "y"]
    np.testing.assert_array_equal(found["x"]["churn"], [np.nan, 1, np.nan, np.nan])
    np.testing.assert_array_equal(found["y"]["churn"], [np.nan, np.nan, 0, 1])
    np.testing.assert_array_equal(found["x"]["coverage"], [1, 1, np.nan, 1])
    np.testing.assert_array_equal(found[""]["gained"], [np.nan, 1, 0, 1])


def test_curves_of_nothing_are_empty():
    assert curves(DissectionHistory())[""]["churn"].tolist() == []


def test_a_dissection_without_neurons_is_undefined():
    found = curves(history_of({"x": []}, {"x": []}))["x"]
    assert found["coverage"].tolist() == [0, 0]
    assert all(np.isnan(values).all() for name, values in found.items() if name != "coverage")


def test_curves_follow_a_run_that_is_resumed():
    history, growing = DissectionHistory(), RunCurves()
    reports = list(random_reports(4))
    for report in reports[:6]:
        history.append(report)
        growing.follow(history)
    for report in (replace(reports[5], cycle=3), *reports[4:]):
        history.append(report)
    assert repr(growing.follow(history)) == repr(RunCurves().follow(history))
    history.truncate(2)
    assert len(growing.follow(history)) == 2
