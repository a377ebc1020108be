import math

import pytest
import torch
from scipy.stats import pearsonr

from lightning_dissect.metrics import METRICS, NeuronMetric, PearsonCorrelation


def test_registered():
    metric = METRICS.resolve("correlation")
    assert metric == PearsonCorrelation()
    assert isinstance(metric, NeuronMetric)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_equals_scipy(activations, presence, dtype):
    a, c = activations.to(dtype), presence.to(dtype)
    scores = PearsonCorrelation().score(a, c)
    for neuron in range(5):
        for concept in range(5):
            expected = pearsonr(a[:, neuron].double().numpy(), c[:, concept].double().numpy()).statistic
            assert scores[neuron, concept].item() == pytest.approx(expected, abs=1e-12)


def test_pairs_are_the_diagonal(activations, presence):
    metric = PearsonCorrelation()
    torch.testing.assert_close(
        metric.score_pairs(activations, presence), metric.score(activations, presence).diagonal()
    )


@pytest.mark.parametrize("max_bytes", [1, 1000])
def test_budget_does_not_change_scores(activations, presence, max_bytes):
    small, large = PearsonCorrelation(max_bytes), PearsonCorrelation()
    torch.testing.assert_close(small.score(activations, presence), large.score(activations, presence))
    torch.testing.assert_close(small.score_pairs(activations, presence), large.score_pairs(activations, presence))


def test_hand_example():
    activations = torch.tensor([9.0, 7, 5, 5, 3, 2, 1, 0, 0, 0])[:, None]
    presence = torch.tensor([0.9, 0.8, 0.2, 0.6, 0.1, 0.7, 0, 0, 0.3, 0])[:, None]
    assert PearsonCorrelation().score(activations, presence).item() == pytest.approx(0.769778, abs=1e-6)


def test_affine_maps_keep_it_and_a_sign_turns_it(activations, presence):
    score = PearsonCorrelation().score
    torch.testing.assert_close(
        score(4 * activations.double() - 3, presence), score(activations.double(), presence), rtol=0, atol=1e-12
    )
    torch.testing.assert_close(score(-activations, presence), -score(activations, presence))
    assert score(activations, 1 - 2 * activations).diagonal().tolist() == pytest.approx([-1.0] * 5)


@pytest.mark.parametrize("frequency", [0.4, 0.1, 0.01])
def test_passes_the_sanity_checks_of_neuron_eval(frequency):
    """A perfect concept must lose clearly if half of its images are missing or as many are added."""
    count, images = int(frequency * 10_000), 10_000
    neuron = torch.zeros(images, 1)
    neuron[:count] = 1
    missing, extra = neuron.clone(), neuron.clone()
    missing[: count // 2] = 0
    extra[: 2 * count] = 1
    perfect, half, double = (PearsonCorrelation().score(neuron, c).item() for c in (neuron, missing, extra))
    assert perfect == pytest.approx(1)
    assert half < 0.9
    assert double < 0.9


def test_constants_are_undefined(activations, presence):
    a = torch.cat([activations, torch.full((60, 1), 0.1)], dim=1)
    c = torch.cat([torch.full((60, 1), 0.3), presence], dim=1)
    scores = PearsonCorrelation().score(a, c)
    assert scores[5].isnan().all()
    assert scores[:, 0].isnan().all()
    assert scores[:5, 1:].isfinite().all()
    assert PearsonCorrelation().score_pairs(a, c).isnan().tolist() == [True, False, False, False, False, True]


def test_non_finite_neuron_is_undefined_and_leaves_the_others_alone(activations, presence):
    spoiled = activations.clone()
    spoiled[3, 2] = math.nan
    scores = PearsonCorrelation().score(spoiled, presence)
    assert scores[2].isnan().all()
    torch.testing.assert_close(scores[[0, 1, 3, 4]], PearsonCorrelation().score(activations, presence)[[0, 1, 3, 4]])


def test_bad_shapes(activations, presence):
    with pytest.raises(ValueError, match="`activations` and `concept_presence` to have the same number of images"):
        PearsonCorrelation().score(activations[:9], presence)
    with pytest.raises(ValueError, match="one column per neuron each"):
        PearsonCorrelation().score_pairs(activations[:, :2], presence)


def test_budget_must_be_positive():
    with pytest.raises(ValueError, match="`max_bytes` to be greater than 0"):
        PearsonCorrelation(max_bytes=0)
