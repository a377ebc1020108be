import numpy as np
import pytest
from scipy.stats import CensoredData, ecdf

from lightning_dissect.history import Lifetimes, median_life
from tests.helpers.label_history import history_of


def lifetimes_of(*dissections, **options):
    lifetimes = Lifetimes()
    firsts = [lifetimes.add(snapshot).tolist() for snapshot in history_of(*dissections, **options)]
    return lifetimes, firsts


def test_the_estimate_is_kaplan_and_meier_s():
    generator = np.random.default_rng(0)
    checked = 0
    for _ in range(200):
        ages = generator.integers(1, 8, 30).astype(float)
        is_dead = generator.random(30) < generator.choice([0.3, 0.6, 0.9])
        died, censored = ages[is_dead], ages[~is_dead]
        survival = ecdf(CensoredData(uncensored=died, right=censored)).sf
        below = survival.quantiles[survival.probabilities <= 0.5 + 1e-12]
        found = median_life(*({age: (group == age).sum() for age in group} for group in (died, censored)))
        if len(below):
            checked += 1
            assert found == below[0]
        else:
            assert np.isnan(found)
    assert checked > 50


def test_nobody_has_no_median():
    assert np.isnan(median_life({}, {}))


def test_half_of_the_labels_die_after_their_half_life():
    """Of eight labels half is gone at each dissection: a half-life of one interval."""
    words = [["a"] * 8, ["a"] * 4 + ["?a"] * 4, ["a"] * 2 + ["?a"] * 6, ["a"] + ["?a"] * 7]
    assert lifetimes_of(*words)[0].half_life() == 10
    slower = [words[0], words[0], words[1], words[1], words[2], words[2]]
    assert lifetimes_of(*slower)[0].half_life() == 20


def test_labels_that_live_have_no_half_life_yet():
    assert np.isnan(lifetimes_of(["a", "b"], ["a", "b"], ["a", "c"])[0].half_life("fc2"))
    lifetimes, _ = lifetimes_of(["a", "b", "c"], ["a", "b", "d"])
    assert np.isnan(lifetimes.half_life())


def test_a_label_lives_while_it_contends():
    lifetimes, _ = lifetimes_of(["a"], ["b|a"], ["b|a"], ["b"])
    assert lifetimes.half_life() == 30
    assert lifetimes_of(["a"], ["b"], ["b"], ["b"])[0].half_life() == 10


@pytest.mark.parametrize("end", ["?a", "-", "!", "b"])
def test_a_label_dies_where_it_is_not_seen(end):
    assert lifetimes_of(["a"], ["a"], [end])[0].half_life() == 20


def test_layers_are_apart():
    lifetimes, _ = lifetimes_of({"x": ["a"], "y": ["a"]}, {"x": ["b"], "y": ["a"]}, {"x": ["b"], "y": ["?a"]})
    assert lifetimes.half_life("x") == 10
    assert lifetimes.half_life("y") == 20
    assert lifetimes.half_life() == 20


def test_a_layer_that_is_no_longer_dissected_leaves_alive():
    lifetimes, _ = lifetimes_of({"x": ["a", "b"], "y": ["a"]}, {"y": ["a"]}, {"x": ["c", "-"], "y": ["a"]})
    assert np.isnan(lifetimes.half_life("x"))
    assert np.isnan(lifetimes.half_life())


def test_the_first_label_of_a_neuron_is_told():
    _, firsts = lifetimes_of(["a", "?a", "-"], ["?a", "b", "-"], ["a", "c", "d"])
    assert firsts == [[True, False, False], [False, True, False], [False, False, True]]


def test_steps_that_begin_again_count_as_none():
    lifetimes = Lifetimes()
    for step, word in ((50, "a"), (0, "b")):
        for snapshot in history_of([word], step=step):
            lifetimes.add(snapshot)
    assert lifetimes.half_life() == 0
