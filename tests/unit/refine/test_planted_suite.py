"""What a search owes to neurons of known function, in a world of words that holds no doubt what an image shows."""

from itertools import product

import numpy as np
import pytest

from lightning_dissect.encoders import EmbeddingCache
from lightning_dissect.probe import ConceptVocabulary
from lightning_dissect.refine import ConceptRefinement, RefinementTarget, Surroundings
from tests.helpers.word_world import WORDS, Reader, WordEncoder, pool, unit

MISSING = WORDS[::2]
START = WORDS[1::2]
APART = [(one, other) for one, other in product(WORDS[:12], WORDS[18:30]) if one[2] == other[2]]
UNITS = [
    *(unit("single", word) for word in WORDS),
    *(unit("or", *pair) for pair in APART),
    *(unit("random") for _ in range(20)),
    unit("dead"),
]


@pytest.fixture(scope="module")
def found():
    """Return what is found for each unit, where a search begins with three words that chance gives."""
    images = pool(800)
    cache = EmbeddingCache(WordEncoder())
    words = ConceptVocabulary(tuple(WORDS), hierarchy={word: (word[:2],) for word in WORDS})
    around = Surroundings(ConceptVocabulary(tuple(START)), images, cache, words)
    rng = np.random.default_rng(0)
    targets = [
        RefinementTarget("units", place, tuple(rng.choice(START, 3, replace=False))) for place in range(len(UNITS))
    ]
    labels = ConceptRefinement().refine(targets, Reader(UNITS, 0.1), around).labels
    return [(one, labels["units", place]) for place, one in enumerate(UNITS)]


def of_kind(found, kind):
    return [(one.concepts, label) for one, label in found if one.kind == kind]


def test_single_concepts_are_recovered(found):
    names = [(label.label, *concepts) for concepts, label in of_kind(found, "single")]
    assert np.mean([name in (word, word[:2]) for name, word in names]) >= 0.9
    missing = [name == word for name, word in names if word in MISSING]
    assert np.mean(missing) >= 0.5


def test_both_senses_are_found(found):
    both = [
        all(any(name in sense.concepts for sense in label.senses) for name in concepts)
        for concepts, label in of_kind(found, "or")
    ]
    assert np.mean(both) >= 0.8
    assert np.mean([len(label.senses) == 1 for _, label in of_kind(found, "single")]) >= 0.9


def test_neurons_that_see_nothing_get_no_label(found):
    assert np.mean([bool(label.label) for _, label in of_kind(found, "random")]) <= 0.1
    assert not any(label.label for _, label in of_kind(found, "dead"))


def test_labels_are_better_than_those_that_the_search_began_with(found):
    gains = [
        label.judged.auc - label.start_judged.auc
        for kind in ("single", "or")
        for _, label in of_kind(found, kind)
        if label.judged and label.start_judged
    ]
    assert len(gains) > 50
    assert np.mean(gains) > 1.96 * np.std(gains, ddof=1) / len(gains) ** 0.5
