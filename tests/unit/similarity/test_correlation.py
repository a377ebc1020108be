import math

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr

from lightning_dissect.similarity import Correlation


def slow_correlation(activations, concept_matrix, shrinkage=1.0):
    a, p = activations.double().numpy(), concept_matrix.double().numpy()
    b = p - p.mean(axis=1, keepdims=True)
    b = b - b.mean(axis=0)
    noise = shrinkage * (b**2).sum() / len(b)
    weights = np.linalg.inv(b @ b.T + noise * np.eye(len(b)))
    scores = np.empty((a.shape[1], p.shape[1]))
    for neuron in range(a.shape[1]):
        x = a[:, neuron] - a[:, neuron].mean()
        for concept in range(p.shape[1]):
            y = b[:, concept]
            scores[neuron, concept] = x @ weights @ y / np.sqrt((x @ weights @ x) * (y @ weights @ y))
    return torch.from_numpy(scores)


@pytest.mark.parametrize("max_rank", [1536, 64, 11], ids=["exact", "all concepts", "sketch of full rank"])
def test_equals_slow_transcription(activations, concept_matrix, max_rank):
    scores = Correlation(max_rank=max_rank).score(activations, concept_matrix)
    torch.testing.assert_close(scores, slow_correlation(activations, concept_matrix), rtol=0, atol=1e-9)


def test_equals_slow_transcription_for_every_dtype(activations, concept_matrix, dtype):
    a, p = activations.to(dtype), concept_matrix.to(dtype)
    torch.testing.assert_close(Correlation().score(a, p), slow_correlation(a, p), rtol=0, atol=1e-9)


def test_sketch_is_exact_for_an_encoder_of_few_dimensions(activations):
    generator = torch.Generator().manual_seed(3)
    images = torch.randn(120, 8, generator=generator, dtype=torch.float64)
    concept_matrix = images @ torch.randn(8, 90, generator=generator, dtype=torch.float64)
    sketched = Correlation(max_rank=12, max_bytes=20_000).score(activations, concept_matrix)
    torch.testing.assert_close(sketched, slow_correlation(activations, concept_matrix), rtol=0, atol=1e-9)


def test_infinite_shrinkage_is_pearson_with_what_an_image_shows_more_than_other_concepts(activations, concept_matrix):
    scores = Correlation(shrinkage=math.inf).score(activations, concept_matrix)
    relative = (concept_matrix.double() - concept_matrix.double().mean(dim=1, keepdim=True)).numpy()
    for neuron, concept in [(0, 0), (3, 7), (6, 10)]:
        expected = pearsonr(activations[:, neuron].double().numpy(), relative[:, concept]).statistic
        assert scores[neuron, concept].item() == pytest.approx(expected, abs=1e-12)


def test_neurons_find_their_concepts(activations, concept_matrix):
    scores = Correlation().score(activations, concept_matrix)
    assert scores.argmax(dim=1).tolist() == list(range(7))
    assert scores.abs().max() <= 1


def test_a_neuron_alone_scores_as_in_company(activations, concept_matrix):
    together = Correlation().score(activations, concept_matrix)
    alone = torch.cat([Correlation().score(activations[:, [neuron]], concept_matrix) for neuron in range(7)])
    torch.testing.assert_close(alone, together, rtol=0, atol=1e-12)


def test_scale_and_shift_of_neurons_and_similarities_do_not_matter(activations, concept_matrix):
    activations, concept_matrix = activations.double(), concept_matrix.double()
    brightness = torch.linspace(-1, 1, 120, dtype=torch.float64)[:, None]
    popularity = torch.linspace(0, 2, 11, dtype=torch.float64)
    torch.testing.assert_close(
        Correlation().score(3 * activations - 7, 20 * concept_matrix + brightness + popularity),
        Correlation().score(activations, concept_matrix),
    )


def test_what_all_concepts_share_is_damped():
    """A unit follows a concept and, more, a nuisance that the other concepts follow."""
    images = torch.randn(300, 30, generator=torch.Generator().manual_seed(5))
    concepts = torch.eye(30)
    concepts[:, 0] = 8 * torch.tensor([1.0, -1.0]).repeat(15)
    concepts[5, 0] = 0
    concept_matrix = images @ concepts.T
    unit = images[:, [5]] + 2 * images[:, [0]]
    assert Correlation(shrinkage=math.inf).score(unit, concept_matrix).argmax().item() != 5
    assert Correlation().score(unit, concept_matrix).argmax().item() == 5


def test_dead_neurons_and_average_concepts_are_nan(activations, concept_matrix):
    a = torch.cat([activations, torch.zeros(120, 1), torch.full((120, 1), math.nan)], dim=1)
    average = concept_matrix.double().mean(dim=1, keepdim=True)
    scores = Correlation().score(a, torch.cat([concept_matrix.double(), average], dim=1))
    assert scores[7:].isnan().all()
    assert scores[:, -1].isnan().all()
    assert scores[:7, :-1].isfinite().all()


def test_nothing_to_tell_apart(activations, concept_matrix):
    assert Correlation().score(activations, concept_matrix[:, :1]).isnan().all()
    assert Correlation().score(activations, concept_matrix[:, [0, 0, 0]]).isnan().all()
    assert Correlation().score(torch.zeros(120, 2), concept_matrix).isnan().all()


@pytest.mark.parametrize("max_rank", [1536, 20])
def test_budget_does_not_change_scores(activations, concept_matrix, max_rank):
    small = Correlation(max_bytes=1, max_rank=max_rank).score(activations, concept_matrix)
    large = Correlation(max_rank=max_rank).score(activations, concept_matrix)
    torch.testing.assert_close(small, large, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["shrinkage", "max_rank", "max_bytes"])
def test_arguments_must_be_positive(name):
    with pytest.raises(ValueError, match=f"`{name}` to be greater than 0"):
        Correlation(**{name: 0})
