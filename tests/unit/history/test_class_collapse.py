import math

import numpy as np
import pytest

from lightning_dissect.history import ClassCollapse, DissectionHistory, curves
from lightning_dissect.history.class_collapse import effective_number
from tests.helpers.label_history import history_of

MANY = [f"concept {place}" for place in range(40)]
FEW = [f"concept {place % 4}" for place in range(40)]


def check(*dissections, **options):
    history = history_of(*dissections)
    return list(ClassCollapse(**options).check(history, curves(history)))


def test_the_effective_number_is_that_of_the_entropy():
    counts = np.array([5, 3, 1, 1])
    entropy = -sum(count / 10 * math.log(count / 10) for count in counts.tolist())
    assert effective_number(counts) == pytest.approx(math.exp(entropy))
    assert effective_number(np.array([7])) == 1
    assert effective_number(np.full(9, 4)) == pytest.approx(9)
    assert effective_number(np.array([], int)) == 0


def test_drawing_fewer_neurons_gives_the_expected_entropy():
    generator = np.random.default_rng(0)
    counts = np.array([8, 5, 4, 2, 1, 1])
    neurons = np.repeat(np.arange(6), counts)
    entropies = []
    for _ in range(4000):
        shares = np.bincount(generator.permutation(neurons)[:6]) / 6
        entropies.append(-sum(share * math.log(share) for share in shares if share))
    error = np.std(entropies) / math.sqrt(len(entropies))
    assert math.log(effective_number(counts, 6)) == pytest.approx(np.mean(entropies), abs=4 * error)
    assert effective_number(counts, 1) == pytest.approx(1)
    assert effective_number(counts, 21) == effective_number(counts, 99) == effective_number(counts)


def test_a_collapse_is_told_once():
    (alarm,) = check(MANY, FEW)
    assert (alarm.name, alarm.layer) == ("class_collapse", "")
    assert alarm.value == pytest.approx(4)
    assert alarm.threshold == pytest.approx(20)
    assert check(MANY, FEW, FEW) == []
    assert check(MANY, FEW, MANY, FEW)


def test_a_slow_collapse_is_found_too():
    steps = [[f"concept {place % count}" for place in range(40)] for count in (40, 32, 25, 19)]
    assert check(*steps)
    assert check(*steps[:3]) == []


def test_fewer_neurons_with_as_many_labels_are_no_collapse():
    assert check(MANY, MANY[:20] + ["-"] * 20, least=20) == []
    spread = [f"concept {place % 20}" for place in range(400)]
    assert check(spread, spread[:5] * 4 + ["-"] * 380)
    assert check(spread, [*spread[:10], *spread[:10]] + ["-"] * 380) == []


def test_a_handful_of_labels_says_nothing():
    assert check(MANY, ["a"] * 19 + ["-"] * 21) == []
    assert check(MANY, ["a"] * 20 + ["-"] * 20)


def test_a_layer_raises_its_own_alarm_unless_all_do():
    calm = [f"calm {place}" for place in range(200)]
    (alarm,) = check({"calm": calm, "x": MANY}, {"calm": calm, "x": FEW})
    assert alarm.layer == "x"
    (alarm,) = check({"x": MANY, "y": MANY}, {"x": FEW, "y": FEW})
    assert not alarm.layer


def test_nothing_collapses_at_the_beginning():
    assert check(FEW) == []
    assert ClassCollapse().check(DissectionHistory(), curves(DissectionHistory())) == []


@pytest.mark.parametrize("options", [{"share": 0}, {"share": 1.0}, {"least": 0}])
def test_numbers_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        ClassCollapse(**options)
