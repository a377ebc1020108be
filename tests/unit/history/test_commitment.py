import numpy as np

from lightning_dissect.history import commitment_steps, is_settled
from tests.helpers.label_history import history_of


def test_commitment_begins_after_the_last_change():
    history = history_of(
        ["a", "a", "a|b", "?a", "a", "-", "a"],
        ["b", "a", "b|c", "?a", "?a", "-", "b"],
        ["b", "a", "b|a", "?a", "a", "a", "a"],
        ["b", "a", "a|b", "?a", "a", "a", "a"],
    )
    np.testing.assert_array_equal(commitment_steps(history), [10, 0, 0, np.nan, 20, 20, 20])


def test_commitment_is_to_the_last_label():
    """Neighbours overlap all along, but the first label is none of the last contenders."""
    assert commitment_steps(history_of(["a|b"], ["b|c"], ["c|d"])).tolist() == [10]


def test_a_neuron_that_was_not_there_was_not_committed():
    history = history_of({"x": ["a"]}, {"y": ["a"], "x": ["a"]}, {"x": ["a"], "y": ["a"]})
    assert commitment_steps(history).tolist() == [0, 10]


def test_one_dissection_is_the_beginning():
    np.testing.assert_array_equal(commitment_steps(history_of(["a", "-"])), [0, np.nan])


def test_a_label_settles_in_three_dissections():
    history = history_of(["z", "a"], ["a", "a"], ["a", "b"], ["a|c", "b"])
    settled = [is_settled(list(history)[: count + 1]).tolist() for count in range(4)]
    assert settled == [[False, False], [False, False], [False, False], [True, False]]


def test_without_a_label_at_the_end_nothing_is_committed():
    assert np.isnan(commitment_steps(history_of(["a"], ["?a"]))).all()
