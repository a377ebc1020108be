from itertools import combinations

import numpy as np
import pytest

from lightning_dissect.history import compare
from lightning_dissect.history.rivals import rival_distances
from tests.helpers.label_history import history_of

DIRECTIONS = {
    name: vector / np.linalg.norm(vector)
    for name, vector in zip(("a", "b", "c", "rest"), np.random.default_rng(0).standard_normal((4, 6)), strict=True)
}


def distance(one, other):
    return 1 - DIRECTIONS[one] @ DIRECTIONS[other]


def test_the_mean_is_that_over_all_pairs_of_contenders():
    [snapshot] = history_of(["a|b", "c|a|b", "b", "-", "a|unknown"])
    found = rival_distances(snapshot, DIRECTIONS)
    expected = [np.mean([distance(*pair) for pair in combinations(word.split("|"), 2)]) for word in ("a|b", "c|a|b")]
    np.testing.assert_allclose(found[:2], expected, atol=1e-5)
    assert found[2] == pytest.approx(distance("b", "rest"), abs=1e-5)
    assert np.isnan(found[3:]).all()


def test_the_floor_is_how_often_labels_move_times_how_far():
    history = history_of(["a|b", "b|c"], ["b|a", "b|c"], stability=0.75)
    changes = compare(history[0], history[1], DIRECTIONS)
    expected = 0.25 * np.array([distance("a", "b"), distance("b", "c")])
    np.testing.assert_allclose(changes.expected_distance, expected, atol=1e-5)
    assert changes.shares()["semantic_churn_floor"] == pytest.approx(expected.mean(), abs=1e-5)


def test_a_label_that_never_moves_has_no_floor_whatever_is_known():
    history = history_of(["a|unknown"], ["a|unknown"], stability=1.0)
    assert compare(history[0], history[1], {}).shares()["semantic_churn_floor"] == 0


def test_without_embeddings_there_is_no_floor():
    history = history_of(["a|b"], ["a|b"], stability=0.5)
    assert np.isnan(compare(history[0], history[1], {}).shares()["semantic_churn_floor"])
