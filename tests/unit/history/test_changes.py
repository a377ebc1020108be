import numpy as np
import pytest

from lightning_dissect.history import compare, coverage
from tests.helpers.label_history import history_of

DIRECTIONS = {"dog": [1.0, 0.0], "puppy": [0.8, 0.6], "sky": [0.0, 2.0], "nil": [0.0, 0.0], "flat": [1.0]}


def changes_of(before, after, pairs=None, directions=DIRECTIONS, **options):
    history = history_of(before, after, embeddings=directions, **options)
    return compare(history[0], history[1], history.embeddings, pairs)


def test_nothing_changes_between_a_dissection_and_itself():
    words = ["cat", "cat|dog", "?sky", "-", "!"]
    changes = changes_of(words, words, stability=0.75)
    assert changes.reliable.tolist() == [True, True, False, False, False]
    assert not changes.renamed.any()
    assert not changes.changed.any()
    assert list(changes.shares().values())[:4] == [0, 0.25, 0, 0]
    assert changes.gained_concepts == changes.lost_concepts == ()


def test_a_change_is_one_where_no_contender_is_left():
    changes = changes_of(["dog", "dog|cat", "dog|cat", "dog"], ["cat", "cat|dog", "cow|cat", "dog|cat"])
    assert changes.renamed.tolist() == [True, True, True, False]
    assert changes.changed.tolist() == [True, False, False, False]
    assert changes.held.tolist() == [False, True, True, True]
    assert changes.shares()["churn"] == 0.75
    assert changes.shares()["changed_share"] == 0.25


def test_where_more_than_half_of_the_candidates_contend_others_may_too():
    """Half of the candidates contend, and with ``rest`` more than half."""
    before, after = ["a|b|rest", "a|rest", "a", "?a|rest"], ["c", "a|c", "c|rest", "c"]
    changes = changes_of(before, after)
    assert changes.renamed.tolist() == [True, False, True, False]
    assert changes.held.tolist() == [False, True, False, False]
    assert changes.changed.tolist() == [False, False, False, False]
    assert changes.overlap == pytest.approx(1 / 3)
    assert changes_of(["a|b"], ["c|d"]).changed.tolist() == [True]


def test_only_reliable_labels_can_change():
    changes = changes_of(["?dog", "dog", "-", "dog", "!"], ["dog", "?cat", "dog", "-", "cat"])
    assert not changes.reliable.any()
    assert not changes.renamed.any()
    assert not changes.held.any()
    assert all(np.isnan(value) for value in changes.shares().values())


def test_the_distance_is_that_of_the_embeddings():
    changes = changes_of(["dog", "dog", "dog", "?dog", "sky"], ["dog", "puppy", "sky", "sky", "dog"])
    np.testing.assert_allclose(changes.distance, [0, 0.2, 1, np.nan, 1], atol=1e-3)
    assert changes.shares()["semantic_churn"] == pytest.approx(0.55, abs=1e-3)
    assert changes.shares(np.array([True, True, False, False, False]))["semantic_churn"] == pytest.approx(0.1, abs=1e-3)


@pytest.mark.parametrize("label", ["unknown", "nil", "flat"])
def test_a_distance_to_an_unknown_direction_is_unknown(label):
    changes = changes_of(["dog", "sky", "dog"], ["puppy", "sky", label])
    assert np.isnan(changes.distance).tolist() == [False, False, True]
    assert np.isnan(changes.shares()["semantic_churn"])


def test_without_embeddings_only_sameness_is_known():
    changes = changes_of(["dog", "sky"], ["cat", "sky"], directions={})
    np.testing.assert_array_equal(changes.distance, [np.nan, 0])


def test_neurons_are_matched_by_layer_and_unit():
    changes = changes_of({"a": ["dog", "cat"], "b": ["sky"]}, {"b": ["sky", "cow"], "c": ["cow"], "a": ["dog"]})
    assert len(changes) == 2
    assert changes.rows_before.tolist() == [2, 0]
    assert changes.rows_after.tolist() == [0, 3]
    assert not changes.renamed.any()
    assert (changes.gained_concepts, changes.lost_concepts) == (("cow",), ("cat",))


def test_neurons_are_matched_as_pairs_say():
    before, after = ["dog", "cat", "cow"], ["cow", "dog", "cat"]
    assert changes_of(before, after).shares()["churn"] == 1
    assert changes_of(before, after, np.array([[0, 1], [1, 2], [2, 0]])).shares()["churn"] == 0


@pytest.mark.parametrize("pairs", [[0, 1], [[0, 1, 2]], [[0, 2]], [[-1, 0]], np.full((9, 2), 5)])
def test_pairs_of_no_rows_are_refused(pairs):
    with pytest.raises(ValueError, match="`pairs`"):
        changes_of(["dog", "cat"], ["dog", "cat"], np.array(pairs))


def test_dissections_without_a_common_neuron_have_nothing_to_compare():
    changes = changes_of({"a": ["dog"]}, {"b": ["dog"]})
    assert not len(changes)
    assert np.isnan([changes.shares()["churn"], changes.overlap]).all()


def test_coverage_counts_labels_that_are_not_withheld():
    snapshot = history_of({"a": ["dog", "dog|cat"], "b": ["?sky", "cow", "-"]})[0]
    assert coverage(snapshot) == {"dog", "cow"}
    assert coverage(snapshot, snapshot.of_layer("a")) == {"dog"}
