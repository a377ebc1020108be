from dataclasses import replace

import pytest

from lightning_dissect.history import Snapshot
from lightning_dissect.report.change_rows import CHANGE_COLUMNS, change_rows
from lightning_dissect.types import LabelTrust, LayerDissection, NeuronLabel, ScoredConcept
from tests.helpers.small_report import small_report


def neuron(unit, *contenders, status="labelled"):
    """A neuron whose candidates may all be the best."""
    trust = LabelTrust((0.1, 0.6), contenders, 0.001, 0.001)
    candidates = tuple(ScoredConcept(name, 0.5, 0.4 - 0.1 * place) for place, name in enumerate(contenders))
    return NeuronLabel("fc", unit, status, candidates, trust=trust)


def snapshot(*neurons, layer="fc"):
    neurons = tuple(replace(neuron, layer=layer) for neuron in neurons)
    return Snapshot.of(small_report(layers=(LayerDissection(layer, neurons),)))


BEFORE = snapshot(
    neuron(0, "cat"),
    neuron(1, "cat"),
    neuron(2, "cat", "dog"),
    neuron(3, "cat"),
    neuron(4, "cat", status="no_clear_function"),
    neuron(5, "cat"),
)
AFTER = snapshot(
    neuron(0, "cat"),
    neuron(1, "dog"),
    neuron(2, "dog", "cat", status="ambiguous"),
    neuron(3, "cat", status="no_clear_function"),
    neuron(4, "sky"),
    NeuronLabel("fc", 5, "dead"),
    NeuronLabel("fc", 6, "dead"),
)


def test_only_other_labels_have_a_row_and_it_says_what_happened():
    rows = change_rows(BEFORE, AFTER)
    assert [(row["unit"], row["previous_label"], row["label"], row["change"]) for row in rows] == [
        (1, "cat", "dog", "changed"),
        (2, "cat", "dog", "within noise"),
        (3, "cat", "", "lost"),
        (4, "", "sky", "new"),
        (5, "cat", "", "lost"),
    ]
    assert all(tuple(row) == CHANGE_COLUMNS for row in rows)
    assert [row["status"] for row in rows] == ["labelled", "ambiguous", "no_clear_function", "labelled", "dead"]
    assert rows[0]["quality"] == pytest.approx(0.4)
    assert rows[4]["quality"] != rows[4]["quality"]
    assert {(row["epoch"], row["step"], row["layer"]) for row in rows} == {(2, 30, "fc")}


def test_the_first_dissection_has_all_labels_as_new():
    rows = change_rows(None, BEFORE)
    assert [row["unit"] for row in rows] == [0, 1, 2, 3, 5]
    assert {(row["previous_label"], row["change"]) for row in rows} == {("", "new")}


def test_a_layer_that_was_not_there_before_is_new():
    rows = change_rows(BEFORE, snapshot(neuron(0, "cat"), layer="other"))
    assert [(row["layer"], row["change"]) for row in rows] == [("other", "new")]


def test_nothing_changes_between_a_dissection_and_itself():
    assert change_rows(AFTER, AFTER) == []
    assert change_rows(None, snapshot()) == []
