import math

import pytest

from lightning_dissect.refine import ConceptRefinement, GivenLabel, RefinementPlan
from lightning_dissect.types import DissectionReport, LayerDissection, NeuronLabel, ScoredConcept
from tests.helpers.word_world import Neighbours, Painter

STATUSES = ["labelled", "ambiguous", "no_clear_function", "dead", "ambiguous", "ambiguous"]


def report():
    def neuron(layer, unit, status):
        quality = [0.3, 0.1, 0.2, 0.0, 0.4, math.nan][unit]
        candidates = () if status == "dead" else tuple(ScoredConcept(f"{layer}{unit}{x}", 1, quality) for x in "ab")
        return NeuronLabel(layer, unit, status, candidates)

    layers = (
        LayerDissection(name, tuple(neuron(name, unit, status) for unit, status in enumerate(STATUSES)))
        for name in "xy"
    )
    return DissectionReport(0, 0, 0, tuple(layers), num_images=9)


def plan(**settings):
    return RefinementPlan(ConceptRefinement(Neighbours(), Painter()), **settings)


def chosen(neurons, changed=(), **settings):
    found = plan(neurons=neurons, **settings).targets(report(), changed)
    return [(target.layer, target.unit) for target in found]


def test_disputed_neurons_are_those_with_several_labels_best_first():
    assert chosen("disputed") == [("x", 4), ("y", 4), ("x", 1), ("y", 1), ("x", 5), ("y", 5)]
    assert chosen("disputed", num_neurons=3) == [("x", 4), ("y", 4), ("x", 1)]


def test_other_choices():
    assert chosen("changed", {("y", 0), ("y", 3)}) == [("y", 0)]
    assert chosen("withheld") == [("x", 2), ("y", 2)]
    assert len(chosen("all")) == 10
    assert chosen({"y": [3, 1, 2]}) == [("y", 2), ("y", 1)]


def test_a_target_has_the_candidates_of_the_dissection():
    assert plan(neurons={"x": [0]}).targets(report(), ())[0].candidates == ("x0a", "x0b")


@pytest.mark.parametrize("neurons", [{"z": [0]}, {"x": [6]}, {"x": [-1, 0]}])
def test_neurons_that_were_not_dissected_are_refused(neurons):
    with pytest.raises(ValueError, match="6 units of x, 6 units of y"):
        chosen(neurons)


def test_labels_of_another_tool_take_the_place_of_those_of_the_dissection(tmp_path):
    file = tmp_path / "labels.csv"
    file.write_text("layer,unit,description\ny,3,dog\nx,1,cat\n")
    targets = plan(labels=file, neurons="disputed").targets(report(), ())
    assert [(target.layer, target.unit, target.candidates) for target in targets] == [
        ("y", 3, ("dog",)),
        ("x", 1, ("cat", "x1a", "x1b")),
    ]
    assert plan(labels=[GivenLabel("x", 0, "cat")]).targets(report(), ())[0].candidates[0] == "cat"


@pytest.mark.parametrize("label", [GivenLabel("z", 0, "cat"), GivenLabel("x", 6, "cat")])
def test_labels_of_neurons_that_were_not_dissected_are_refused(label):
    with pytest.raises(ValueError, match="`labels`"):
        plan(labels=[label]).targets(report(), ())


def test_a_file_of_labels_that_cannot_be_read_is_told_at_once(tmp_path):
    with pytest.raises(FileNotFoundError):
        plan(labels=tmp_path / "none.csv")


def test_a_plan_is_due_as_it_says():
    every = plan(every_n_dissections=3, at_end=False)
    assert [cycle for cycle in range(7) if every.is_due(cycle)] == [0, 3, 6]
    assert [cycle for cycle in range(7) if every.may_follow(cycle)] == [0, 3, 6]
    assert not plan().is_due(0)
    assert plan().may_follow(1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"neurons": "best"}, "`neurons`"),
        ({"at_end": False}, "`at_end`"),
        *(({name: 0}, f"`{name}`") for name in ("num_neurons", "every_n_dissections", "pool_images", "batch_size")),
    ],
)
def test_a_plan_that_cannot_be_followed_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        plan(**settings)
