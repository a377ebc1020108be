import pytest
import torch
from scipy.stats import pearsonr, spearmanr

from lightning_dissect.metrics import CorrelationTopAndRandom, SpearmanTopAndRandom, binarise
from lightning_dissect.metrics.ranks import random_orders

BOTH = pytest.mark.parametrize(
    ("metric", "scipy"), [(CorrelationTopAndRandom, pearsonr), (SpearmanTopAndRandom, spearmanr)]
)


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(500, 4, generator=generator), torch.rand(500, 4, generator=generator)


@BOTH
def test_is_the_correlation_on_the_drawn_images(metric, scipy, data):
    a, c = data
    order, others = random_orders(7, 500, a.device)
    scores = metric(alpha=0.1, k=10, seed=7).score(a, c)
    for neuron in range(4):
        top = [image for image in order.tolist() if binarise(a, 0.1)[image, neuron]][:10]
        drawn = top + others.tolist()[:10]
        assert len(set(top)) == 10
        for concept in range(4):
            expected = scipy(a[drawn, neuron].double(), c[drawn, concept].double()).statistic
            assert scores[neuron, concept].item() == pytest.approx(expected, abs=1e-12)


@BOTH
def test_draws_follow_the_neuron_not_its_place(metric, scipy, data):
    a, c = data
    scores = metric(alpha=0.1).score(a, c)
    torch.testing.assert_close(metric(alpha=0.1).score(a[:, [2, 0]], c), scores[[2, 0]])
    assert not torch.equal(metric(alpha=0.1, seed=1).score(a, c), scores)


@BOTH
def test_binary_activations_are_subsampled(metric, scipy):
    """A true sample of 25 and 25: extra labels hardly lower the score of a rare neuron, missing ones do."""
    neuron, missing, extra = (torch.arange(10_000)[:, None] < limit for limit in (100, 50, 200))
    scores = [
        [metric(alpha=None, seed=seed).score(neuron, labels).item() for labels in (neuron, missing, extra)]
        for seed in range(40)
    ]
    perfect, half, double = torch.tensor(scores).mean(dim=0).tolist()
    assert perfect == pytest.approx(1)
    assert half - perfect == pytest.approx(2 * -0.208, abs=0.08)
    assert double - perfect == pytest.approx(2 * -0.005, abs=0.02)


@BOTH
def test_a_neuron_with_few_active_images_gives_all_of_them(metric, scipy):
    neuron = torch.zeros(1000, 1)
    neuron[:5] = torch.arange(1.0, 6.0)[:, None]
    assert metric(alpha=0.05).score(neuron, neuron).item() == pytest.approx(1)


@BOTH
def test_a_concept_without_variety_among_the_drawn_images_is_undefined(metric, scipy, data):
    a, _ = data
    rare = torch.zeros(500, 1)
    rare[a[:, 0].argmin()] = 1
    assert metric(alpha=0.01, k=3).score(a[:, :1], rare).isnan().all()


def test_random_ties_are_seeded(data):
    a, c = data
    tied = SpearmanTopAndRandom(alpha=0.1, ties="random")
    assert torch.equal(tied.score(a.round(), c), tied.score(a.round(), c))
    assert not torch.equal(tied.score(a.round(), c), SpearmanTopAndRandom(alpha=0.1).score(a.round(), c))


def test_bad_arguments():
    with pytest.raises(ValueError, match="`k` to be greater than 0"):
        CorrelationTopAndRandom(k=0)
    with pytest.raises(ValueError, match="'mid' or 'random'"):
        SpearmanTopAndRandom(ties="no")
