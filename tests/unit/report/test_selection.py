from dataclasses import replace

from lightning_dissect.label_evaluation import LabelEvaluation
from lightning_dissect.report.selection import best_and_worst, by_quality, evenly_spread
from lightning_dissect.types import NeuronLabel
from tests.helpers.small_report import labelled, small_report


def _units(neurons):
    return [neuron.unit for neuron in neurons]


TEN = [labelled("fc", unit, "x", unit / 10) for unit in range(10)]


def test_by_quality_puts_neurons_without_one_last_and_keeps_ties_in_order():
    neurons = [NeuronLabel("fc", 0, "dead"), labelled("fc", 1, "a", 0.1), labelled("fc", 2, "b", 0.1), *TEN[3:4]]
    assert _units(by_quality(neurons)) == [3, 1, 2, 0]


def test_best_and_worst_leaves_out_what_cannot_be_shown():
    assert _units(best_and_worst(small_report().layers[1].neurons, 10)) == [6, 2]
    assert _units(best_and_worst(TEN, 5)) == [9, 8, 7, 1, 0]
    assert _units(best_and_worst(TEN, 1)) == [9]
    assert best_and_worst([], 4) == []


def test_evenly_spread_holds_both_ends_and_no_neuron_twice():
    for count in range(2, 10):
        units = _units(evenly_spread(TEN, count))
        assert len(set(units)) == count
        assert (units[0], units[-1]) == (9, 0)
    assert _units(evenly_spread(TEN, 1)) == [9]
    assert _units(evenly_spread(TEN, 99)) == list(range(9, -1, -1))


def test_half_of_the_places_go_to_judged_neurons():
    judged = {3, 4, 5, 6}
    evaluations = {"vqa": LabelEvaluation(True, (), ())}
    neurons = [replace(neuron, evaluations=evaluations) if neuron.unit in judged else neuron for neuron in TEN]
    assert _units(best_and_worst(neurons, 4)) == [9, 6, 3, 0]
    assert _units(best_and_worst(neurons, 5)) == [9, 6, 5, 3, 0]
    assert _units(best_and_worst(neurons, 9)) == [9, 8, 7, 6, 5, 4, 3, 1, 0]
    assert _units(evenly_spread(neurons, 4)) == [9, 6, 3, 0]
    assert _units(evenly_spread(neurons, 1)) == [6]
    for count in range(1, 11):
        for choose in (best_and_worst, evenly_spread):
            units = _units(choose(neurons, count))
            assert len(set(units)) == count
            assert units == sorted(units, reverse=True)
            assert len(judged.intersection(units)) >= min(4, count // 2)
