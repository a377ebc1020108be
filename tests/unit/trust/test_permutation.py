import math

import pytest
import torch
from scipy.stats import skew

from lightning_dissect.similarity import WPMI, Correlation, Cosine, RankReorder, SoftWPMI, prepare, score_all
from lightning_dissect.trust import false_discovery_q_values, permutation_p_values
from lightning_dissect.trust.permutation import (
    MOST_ROUNDS,
    _permutations,
    best_scores,
    chance_p_values,
    permutation_rounds,
    permuted_scores,
    skewness,
)


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
        null = score_all(scorer, activations[orders, neuron].T).amax(dim=1)
        expected = (1 + (null >= score_all(scorer, activations[:, [neuron]]).max()).sum()) / 2000
        assert abs(p_values[neuron] - expected) < 0.06


def test_followers_of_a_concept_get_the_lowest_p_value(scorer):
    activations = draw(120, 30)[:, :6] + 0.3 * draw(120, 6, seed=2)
    assert permutation_p_values(activations, scorer, draws=99, least_total=100).max() <= 0.01


def test_dead_neurons_have_none_and_hardly_matter(scorer):
    activations = draw(120, 4, seed=1)
    dead = torch.stack([torch.ones(120), torch.full((120,), torch.nan)], dim=1)
    p_values = permutation_p_values(torch.cat([dead, activations], dim=1), scorer)
    assert p_values.isnan().tolist() == [True] * 2 + [False] * 4
    assert (p_values[2:] - permutation_p_values(activations, scorer)).abs().max() < 0.12
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
    concept_matrix = draw(40, 3)
    concept_matrix[:, 1] = 0
    scorer = prepare(Cosine(), concept_matrix)
    assert score_all(scorer, draw(40, 2)).isnan().any(dim=0).tolist() == [False, True, False]
    assert best_scores(draw(40, 2), scorer, width=1).isfinite().all()
    assert permutation_p_values(draw(40, 3), scorer).isfinite().all()


def test_columns_keep_their_values_in_orders_of_their_own():
    class Recording:
        def blocks(self, activations, width, over_processes):
            seen.append(activations.clone())
            yield slice(0, 1), torch.zeros(activations.shape[1], 1, dtype=torch.float64)

    seen = []
    columns = torch.arange(50.0)[:, None].expand(-1, 300).contiguous()
    assert permuted_scores(columns, Recording(), 5, width=1, layer_size=300).shape == (300, 5)
    assert [permuted.shape[1] for permuted in seen] == [900, 600]
    rounds = torch.cat(seen, dim=1).split(300, dim=1)
    for permuted in rounds:
        assert torch.equal(permuted.sort(dim=0).values, columns)
        assert len(permuted.T.unique(dim=0)) == 50
    assert not torch.equal(rounds[0], rounds[1])
    assert not torch.equal(rounds[1], rounds[2])


@pytest.mark.parametrize("similarity", [SoftWPMI(top_k=10), WPMI(top_k=10)])
def test_neurons_that_are_compared_with_each_other_are_permuted_together(similarity):
    columns, scorer = draw(40, 30), prepare(similarity, draw(40, 5))
    columns[:, 4] = 1.0
    columns[:, 7] = columns[:, 7].round()
    found = permuted_scores(columns, scorer, 3, width=2, layer_size=30, max_bytes=4 * 40 * 7)
    permutations = _permutations(40, 30, slice(0, 30), seed=0)
    for round_, (order, rotations) in zip(range(3), permutations, strict=False):
        permuted = columns.gather(0, (order[:, None] + rotations) % 40)
        assert torch.equal(found[:, round_], best_scores(permuted, scorer, width=2))
    assert permuted_scores(columns, scorer, 250, width=5, layer_size=30).shape == (30, MOST_ROUNDS)
    assert permuted_scores(columns[:, :0], scorer, 2, width=5, layer_size=30).shape == (0, 2)


def test_a_scorer_that_compares_neurons_without_digests_is_refused():
    class Comparing:
        def blocks(self, activations, width, over_processes):
            yield slice(0, 1), over_processes(activations[:1].double()).T

    with pytest.raises(TypeError, match="compares neurons to be a `DigestingScorer`"):
        permuted_scores(draw(20, 30), Comparing(), 3, width=1, layer_size=30)


def test_a_large_layer_is_permuted_in_parts(monkeypatch):
    scorer, columns = prepare(Correlation(), draw(40, 5)), draw(40, 30)
    whole = permuted_scores(columns, scorer, 2, width=64, layer_size=30)
    parts = permuted_scores(columns, scorer, 2, width=64, layer_size=30, max_bytes=4 * 40 * 7)
    assert torch.equal(whole, parts)


def test_p_values_one_neuron_after_the_other():
    generator = torch.Generator().manual_seed(0)
    best, lopsidedness, null = torch.randn(30, generator=generator), torch.rand(30), torch.randn(30, 3)
    best[[4, 9]] = math.nan
    found = chance_p_values(best, lopsidedness, null, draws=15)
    live = [neuron for neuron in lopsidedness.argsort().tolist() if neuron not in {4, 9}]
    for place, neuron in enumerate(live):
        start = min(max(place - 2, 0), 28 - 5)
        share = null[live[start : start + 5]].flatten()
        assert found[neuron].item() == pytest.approx((1 + (share >= best[neuron]).sum().item()) / 16)


def test_rounds_give_every_neuron_its_draws():
    for size in (1, 2, 37, 400, 2048, 4096, 9000):
        rounds = permutation_rounds(size)
        assert rounds * min(size, math.ceil(499 / rounds)) >= 499
        assert rounds * size <= 4096 + 2 * size or rounds == 499


def test_skewness_is_that_of_scipy():
    activations = torch.rand(50, 70, generator=torch.Generator().manual_seed(0)).pow(3)
    torch.testing.assert_close(skewness(activations), torch.from_numpy(skew(activations.double().numpy())).float())


@pytest.mark.parametrize("name", ["draws", "least_total", "max_bytes"])
def test_faulty_numbers(scorer, name):
    with pytest.raises(ValueError, match=f"Expected `{name}` to be greater than 0"):
        permutation_p_values(draw(120, 3), scorer, **{name: 0})


def test_best_scores_are_searched_for_where_that_is_faster():
    concept_matrix, activations = draw(120, 30) + 9, draw(120, 4, seed=1)
    scorer = prepare(RankReorder(), concept_matrix)
    expected = score_all(scorer, activations).amax(dim=1).float()
    assert best_scores(activations, scorer, width=7).equal(expected)
    dead = best_scores(torch.ones(120, 1), scorer, width=7)
    assert dead.item() == -math.inf
