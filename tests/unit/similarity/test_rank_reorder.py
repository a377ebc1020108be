import numpy as np
import pytest
import torch

from lightning_dissect.concept_matrix import ConceptMatrix
from lightning_dissect.similarity import RankReorder, SearchingScorer, find_best
from lightning_dissect.similarity.best_concepts import BestConcepts


def slow_rank_reorder(activations, concept_matrix, *, top_fraction=0.05, power=3.0, scale_power=0.5, orders=None):
    a, p = activations.double().numpy(), concept_matrix.double().numpy()
    scores = np.empty((a.shape[1], p.shape[1]))
    count = int(top_fraction * len(a))
    for neuron in range(a.shape[1]):
        rows = sorted(range(len(a)), key=lambda row: (-a[row, neuron], row))[:count]
        x = a[rows, neuron]
        if orders is None:
            baseline = np.mean([abs(first - second) ** power for first in x for second in x])
        else:
            baseline = np.mean([np.mean(np.abs(x - x[order]) ** power) for order in orders])
        for concept in range(p.shape[1]):
            similarity = p[rows, concept]
            ranks = np.argsort(np.argsort(similarity, kind="stable"), kind="stable")
            y = np.sort(x)[ranks]
            fit = similarity.mean() ** scale_power if similarity.mean() > 0 else np.nan
            scores[neuron, concept] = -np.mean(np.abs(x - y) ** power) / baseline / fit
    return torch.from_numpy(scores)


def test_equals_slow_transcription_for_every_dtype(activations, concept_matrix, dtype):
    a, p = activations.to(dtype), concept_matrix.to(dtype)
    torch.testing.assert_close(RankReorder().score(a, p), slow_rank_reorder(a, p), rtol=1e-9, atol=1e-9)


def test_parameters_enter_the_formula(activations, concept_matrix):
    settings = {"top_fraction": 0.4, "power": 1.5, "scale_power": 2.0}
    torch.testing.assert_close(
        RankReorder(**settings).score(activations, concept_matrix),
        slow_rank_reorder(activations, concept_matrix, **settings),
        rtol=1e-9,
        atol=1e-9,
    )


def test_published_shuffles_are_seeded_and_move_only_the_size(activations, concept_matrix):
    generator = torch.Generator().manual_seed(4)
    orders = [torch.randperm(6, generator=generator).numpy() for _ in range(5)]
    scores = RankReorder(shuffles=5, seed=4).score(activations, concept_matrix)
    slow = slow_rank_reorder(activations, concept_matrix, orders=orders)
    torch.testing.assert_close(scores, slow, rtol=1e-9, atol=1e-9)
    assert scores.argmax(dim=1).equal(RankReorder().score(activations, concept_matrix).argmax(dim=1))


def test_exact_baseline_is_the_expectation_of_shuffles(activations, concept_matrix):
    exact = RankReorder(top_fraction=0.3).score(activations, concept_matrix)
    shuffled = RankReorder(top_fraction=0.3, shuffles=3000).score(activations, concept_matrix)
    torch.testing.assert_close(exact, shuffled, rtol=0.03, atol=0)


def test_own_order_is_perfect_and_a_flat_concept_is_worst():
    own = torch.linspace(0.1, 0.9, 100)
    concept_matrix = torch.stack([own, 1 - own, torch.full((100,), 0.8)], dim=1)
    scores = RankReorder(scale_power=0.0).score(own[:, None], concept_matrix)
    assert scores[0, 0] == 0
    torch.testing.assert_close(scores[0, 1], scores[0, 2])


def test_negative_mean_similarity_is_undefined(activations, concept_matrix):
    centred = concept_matrix - 0.2
    scores = RankReorder().score(activations, centred)
    assert scores.isnan().any()
    slow = slow_rank_reorder(activations, centred)
    torch.testing.assert_close(scores, slow, rtol=1e-9, atol=1e-9, equal_nan=True)


def test_neurons_that_are_dead_or_flat_at_the_top_get_nan(activations, concept_matrix):
    saturated = activations[:, :1].clamp(max=0)
    scores = RankReorder().score(torch.cat([activations, saturated, torch.ones(120, 1)], dim=1), concept_matrix)
    assert scores[7:].isnan().all()
    torch.testing.assert_close(scores[:7], RankReorder().score(activations, concept_matrix))
    assert RankReorder().score(torch.ones(120, 1), concept_matrix).isnan().all()


@pytest.mark.parametrize("max_bytes", [1, 30_000])
def test_budget_does_not_change_scores(activations, concept_matrix, max_bytes):
    small = RankReorder(max_bytes=max_bytes).score(activations, concept_matrix)
    torch.testing.assert_close(small, RankReorder().score(activations, concept_matrix), rtol=0, atol=1e-12)


def test_too_few_images_are_refused(activations, concept_matrix):
    with pytest.raises(ValueError, match=r"at least 2 images but got 0\.05 of 39"):
        RankReorder().score(activations[:39], concept_matrix[:39])
    assert RankReorder().score(activations[:40], concept_matrix[:40]).shape == (7, 11)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"top_fraction": 0}, "`top_fraction` to be greater than 0"),
        ({"top_fraction": 1.5}, "`top_fraction` to be at most 1 but got 1.5"),
        ({"power": 0}, "`power` to be greater than 0"),
        ({"shuffles": -1}, "`shuffles` to be 0 or more but got -1"),
        ({"max_bytes": 0}, "`max_bytes` to be greater than 0"),
    ],
)
def test_arguments_outside_their_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        RankReorder(**arguments)


def assert_finds_the_best_of_all_scores(similarity, activations, concept_matrix, count):
    scorer = similarity.prepared(concept_matrix)
    assert isinstance(scorer, SearchingScorer)
    best, expected = scorer.best(activations, count), BestConcepts(activations.shape[1], count)
    for block, scores in scorer.blocks(activations, width=7):
        expected.update(block.start, scores)
    torch.testing.assert_close(best.values, expected.values, rtol=1e-12, atol=1e-14)
    assert best.concepts.equal(expected.concepts)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("count", [1, 5])
def test_search_finds_the_best_of_all_scores(count, dtype):
    """Of planted and of other neurons, with a dead one, one that is flat at the top, and concepts that are equal."""
    pytest.importorskip("numba")
    generator = torch.Generator().manual_seed(count)
    similarities = 0.2 + 0.05 * torch.randn(400, 300, generator=generator)
    similarities[:, 11], similarities[:, 250] = similarities[:, 4], similarities[:, 4]
    activations = torch.randn(400, 9, generator=generator)
    activations[:, :3] += 40 * similarities[:, 3:6]
    activations[:, 5], activations[:, 6] = 1.0, activations[:, 6].clamp(max=0)
    for max_bytes in (1, 2**24):
        similarity = RankReorder(top_fraction=0.1, max_bytes=max_bytes)
        assert_finds_the_best_of_all_scores(similarity, activations.to(dtype), similarities, count)


def test_search_multiplies_factors_in_panels():
    pytest.importorskip("numba")
    generator = torch.Generator().manual_seed(0)
    factors = [torch.rand(count, 8, generator=generator, dtype=torch.float64) for count in (300, 150)]
    activations = torch.randn(300, 4, generator=generator)
    for matrix in (ConceptMatrix(*factors), ConceptMatrix(*factors, max_bytes=2**30)):
        assert_finds_the_best_of_all_scores(RankReorder(max_bytes=2**14), activations, matrix, count=3)


def test_search_passes_concepts_whose_score_is_undefined(activations, concept_matrix):
    pytest.importorskip("numba")
    centred = concept_matrix - 0.2
    assert_finds_the_best_of_all_scores(RankReorder(), activations, centred, count=11)
    nothing = RankReorder().prepared(centred - 9).best(activations, 2)
    assert nothing.concepts.eq(-1).all()
    assert nothing.values.eq(-torch.inf).all()


def test_search_without_live_neurons(concept_matrix):
    pytest.importorskip("numba")
    best = RankReorder().prepared(concept_matrix).best(torch.ones(120, 2), 3)
    assert best.concepts.tolist() == [[-1] * 3] * 2


@pytest.mark.parametrize(("power", "dtype"), [(2.0, torch.float32), (3.0, torch.float16), (3.0, torch.bfloat16)])
def test_other_powers_and_half_precision_are_not_searched(power, dtype, activations, concept_matrix):
    scorer = RankReorder(power=power).prepared(concept_matrix.to(dtype))
    assert not isinstance(scorer, SearchingScorer)
    best = find_best(scorer, activations, count=1, width=4)
    scores = RankReorder(power=power).score(activations, concept_matrix.to(dtype))
    assert best.concepts.flatten().equal(scores.argmax(dim=1))
