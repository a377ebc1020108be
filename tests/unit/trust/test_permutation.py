import math

import pytest
import torch

from lightning_dissect.similarity import Correlation, prepare
from lightning_dissect.standardise import standardised_columns
from lightning_dissect.trust import false_discovery_q_values, permutation_p_values
from lightning_dissect.trust.permutation import _permuted


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def scorer():
    return prepare(Correlation(), draw(120, 30))


def test_exact_for_neurons_that_follow_nothing(scorer):
    generator = torch.Generator().manual_seed(1)
    shapes = torch.linspace(0.5, 6, 400)
    activations = torch.rand(120, 400, generator=generator).pow(shapes)
    p_values = permutation_p_values(activations, scorer, draws=199, least_total=800)
    for level in (0.05, 0.2):
        error = math.sqrt(level * (1 - level) / 400)
        assert abs((p_values <= level).double().mean() - level) < 3 * error
    assert (false_discovery_q_values(p_values) <= 0.05).double().mean() <= 0.05


def test_against_permutations_of_each_neuron_alone():
    concept_matrix, activations = draw(60, 8), torch.rand(60, 5, generator=torch.Generator().manual_seed(3)).pow(3)
    p_values = permutation_p_values(activations, prepare(Correlation(), concept_matrix), draws=1999, least_total=1)
    generator = torch.Generator().manual_seed(4)
    scorer = prepare(Correlation(), concept_matrix)
    for neuron in range(5):
        orders = torch.stack([torch.randperm(60, generator=generator) for _ in range(1999)])
        null = scorer(activations[orders, neuron].T).amax(dim=1)
        expected = (1 + (null >= scorer(activations[:, [neuron]]).max()).sum()) / 2000
        assert abs(p_values[neuron] - expected) < 0.06


def test_followers_of_a_concept_get_the_lowest_p_value(scorer):
    activations = draw(120, 30)[:, :6] + 0.3 * draw(120, 6, seed=2)
    assert permutation_p_values(activations, scorer, draws=99, least_total=100).max() <= 0.01


def test_dead_neurons_have_none_and_do_not_matter(scorer):
    activations = draw(120, 4, seed=1)
    dead = torch.stack([torch.ones(120), torch.full((120,), torch.nan)], dim=1)
    p_values = permutation_p_values(torch.cat([dead, activations], dim=1), scorer)
    assert p_values.isnan().tolist() == [True] * 2 + [False] * 4
    assert torch.equal(p_values[2:], permutation_p_values(activations, scorer))
    assert permutation_p_values(dead, scorer).isnan().all()


def test_size_of_calls_does_not_matter(scorer):
    activations = draw(120, 9, seed=1)
    assert torch.equal(
        permutation_p_values(activations, scorer), permutation_p_values(activations, scorer, max_bytes=1)
    )


def test_leaves_the_global_generator_alone(scorer):
    state = torch.get_rng_state()
    first, second = (permutation_p_values(draw(120, 9, seed=1), scorer, seed=seed) for seed in (0, 1))
    assert torch.equal(state, torch.get_rng_state())
    assert not torch.equal(first, second)


def test_undefined_scores_lose():
    activations = draw(40, 3)

    def scorer(columns):
        return torch.stack([standardised_columns(columns)[0], torch.full((columns.shape[1],), torch.nan)], dim=1)

    assert permutation_p_values(activations, scorer).isfinite().all()


def test_columns_keep_their_values_in_orders_of_their_own():
    columns = torch.arange(50.0)[:, None].expand(-1, 300).contiguous()
    permuted = _permuted(columns, torch.Generator().manual_seed(0))
    assert torch.equal(permuted.sort(dim=0).values, columns)
    assert len(permuted.T.unique(dim=0)) == 50


@pytest.mark.parametrize("name", ["draws", "least_total", "max_bytes"])
def test_faulty_numbers(scorer, name):
    with pytest.raises(ValueError, match=f"Expected `{name}` to be greater than 0"):
        permutation_p_values(draw(120, 3), scorer, **{name: 0})
