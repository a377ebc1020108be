import numpy as np
import pytest

from lightning_dissect.report.projection import neuron_vectors
from lightning_dissect.types import NeuronLabel, ScoredConcept


def neuron(**qualities):
    candidates = tuple(ScoredConcept(name, 0.5, quality) for name, quality in qualities.items())
    return NeuronLabel("fc", 0, "labelled", candidates)


def slow_directions(neurons, embeddings):
    """The formula, term by term."""
    rows = []
    for one in neurons:
        total = sum(max(item.quality, 0) * embeddings[item.concept] for item in one.candidates)
        rows.append(total / np.linalg.norm(total))
    return np.array(rows)


def distances(points):
    return np.linalg.norm(points[:, None] - points[None], axis=2)


@pytest.fixture
def drawn():
    rng = np.random.default_rng(0)
    names = [f"c{place}" for place in range(12)]
    vectors = rng.normal(size=(12, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    embeddings = dict(zip(names, vectors, strict=True))
    neurons = [
        neuron(**{name: rng.uniform(-0.2, 0.9) for name in rng.choice(names, 4, replace=False)} | {"c0": 0.1})
        for _ in range(20)
    ]
    return neurons, embeddings


def test_distances_are_those_of_the_formula(drawn):
    vectors = neuron_vectors(*drawn)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(distances(vectors), distances(slow_directions(*drawn)), atol=1e-5)
    np.testing.assert_allclose(vectors.mean(axis=0), 0, atol=1e-6)


def test_the_components_that_carry_most_stay(drawn):
    few = neuron_vectors(*drawn, max_dimensions=4)
    assert few.shape == (20, 4)
    centred = slow_directions(*drawn)
    centred -= centred.mean(axis=0)
    np.testing.assert_allclose(np.linalg.norm(few, axis=0), np.linalg.svd(centred, compute_uv=False)[:4], rtol=1e-5)


def test_of_many_dimensions_those_that_stay_carry_nearly_as_much_as_any_could():
    rng = np.random.default_rng(1)
    embeddings = {
        str(place): vector / np.linalg.norm(vector) for place, vector in enumerate(rng.normal(size=(300, 128)))
    }
    neurons = [neuron(**{str(name): 0.5 for name in rng.choice(300, 5, replace=False)}) for _ in range(400)]
    kept = neuron_vectors(neurons, embeddings)
    assert kept.shape == (400, 50)
    centred = slow_directions(neurons, embeddings)
    centred -= centred.mean(axis=0)
    assert (kept**2).sum() > 0.98 * (np.linalg.svd(centred, compute_uv=False)[:50] ** 2).sum()
    np.testing.assert_array_equal(kept, neuron_vectors(neurons, embeddings))


def test_neurons_of_one_label_are_told_apart_and_related_labels_are_near():
    embeddings = {"dog": np.array([1.0, 0, 0]), "puppy": np.array([0.9, 0.436, 0]), "car": np.array([0, 0, 1.0])}
    neurons = [neuron(dog=0.5), neuron(dog=0.5, car=0.1), neuron(puppy=0.5), neuron(car=0.5)]
    apart = distances(neuron_vectors(neurons, embeddings))
    assert apart[0, 1] > 0.1
    assert apart[0, 2] < apart[0, 3]


def test_a_concept_without_a_direction_is_one_of_its_own():
    embeddings = {"dog": np.array([1.0, 0.0]), "cat": np.array([1.0, 0.0])}
    apart = distances(neuron_vectors([neuron(dog=0.5), neuron(cat=0.2), neuron(sky=0.5), neuron(sea=0.5)], embeddings))
    assert apart[0, 1] == pytest.approx(0, abs=1e-6)
    assert apart[0, 2] == pytest.approx(2**0.5)
    assert apart[2, 3] == pytest.approx(2**0.5)


def test_without_a_positive_quality_the_best_candidate_counts_alone():
    neurons = [neuron(cat=-0.1, dog=-0.2), neuron(cat=float("nan"), sky=-0.5), neuron(cat=0.3), neuron(dog=0.5)]
    apart = distances(neuron_vectors(neurons, {}))
    np.testing.assert_allclose(apart[0, 1:3], 0, atol=1e-6)
    assert apart[0, 3] == pytest.approx(2**0.5)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_neurons_have_three_dimensions_too(count):
    vectors = neuron_vectors([neuron(cat=0.5), neuron(dog=0.5)][:count], {})
    assert vectors.shape == (count, 3)
    assert np.isfinite(vectors).all()


def test_a_neuron_without_candidates_is_refused():
    with pytest.raises(ValueError, match="Expected `neurons` to have a candidate each"):
        neuron_vectors([NeuronLabel("fc", 0, "dead")], {})
    with pytest.raises(ValueError, match="Expected `max_dimensions` to be greater than 0"):
        neuron_vectors([], {}, max_dimensions=0)
