import math

from lightning_dissect.types import DissectionReport, LayerDissection, NeuronLabel, ScoredConcept


def neuron(unit, *candidates, layer="a", status="labelled"):
    return NeuronLabel(layer, unit, status, tuple(ScoredConcept(*candidate) for candidate in candidates))


REPORT = DissectionReport(
    epoch=1,
    step=10,
    cycle=0,
    layers=(
        LayerDissection("a", (neuron(0, ("cat", 2.0, 0.5), ("dog", 1.0, 0.4)), neuron(1, status="dead"))),
        LayerDissection("b", (neuron(0, ("cat", 3.0, 0.7), layer="b"), neuron(1, layer="b", status="non_finite"))),
    ),
    num_images=4,
)


def test_label_score_and_quality_are_those_of_the_first_candidate():
    first = REPORT.neurons[0]
    assert (first.label, first.score, first.quality) == ("cat", 2.0, 0.5)
    assert [candidate.concept for candidate in first.runner_ups] == ["dog"]


def test_a_dead_neuron_has_no_label():
    dead = REPORT.neurons[1]
    assert dead.label == ""
    assert math.isnan(dead.score)
    assert math.isnan(dead.quality)
    assert dead.runner_ups == ()


def test_metrics_count_by_status_and_average_quality():
    assert REPORT.metrics == {
        "neurons": 4.0,
        "labelled": 2.0,
        "ambiguous": 0.0,
        "no_clear_function": 0.0,
        "dead": 1.0,
        "non_finite": 1.0,
        "distinct_labels": 1.0,
        "quality": 0.6,
    }
    assert REPORT.layers[0].metrics["quality"] == 0.5


def test_quality_of_nothing_is_undefined():
    assert math.isnan(LayerDissection("a", (neuron(0, status="dead"),)).metrics["quality"])


def test_a_withheld_label_is_not_shown_but_its_numbers_are():
    unclear = neuron(3, ("cat", 2.0, 0.5), status="no_clear_function")
    assert (unclear.label, unclear.title, unclear.quality) == ("", "(no clear function)", 0.5)
    assert LayerDissection("a", (unclear,)).metrics["distinct_labels"] == 0
    assert LayerDissection("a", (unclear,)).metrics["quality"] == 0.5
    assert neuron(4, ("cat", 2.0, 0.5), status="ambiguous").title == "cat"
