"""What holds for every metric: the slow transcription, the record of what is undefined, blocks, dtypes and traits."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from lightning_dissect.metrics import METRICS, MetricTraits, NeuronMetric, average_precision, ranks
from tests.helpers.neuron_eval import COMBINATIONS, metric

NAMES = ["recall", "precision", "f1", "iou", "accuracy", "balanced_accuracy", "inverse_balanced_accuracy", "auc"]
NAMES += ["inverse_auc", "correlation", "correlation_top_and_random", "spearman", "spearman_top_and_random", "cosine"]
NAMES += ["wpmi", "mad", "auprc", "inverse_auprc"]
DRAWING = {"correlation_top_and_random", "spearman_top_and_random"}
EXACT = [name for name in [*NAMES, *COMBINATIONS] if name not in DRAWING]
PASSING = {"f1", "iou", "correlation", "cosine", "auprc", "combined_auc", "combined_balanced_accuracy"}
PASSING |= {"recall_inverse_auc", "precision_balanced_accuracy"}
HAND = {
    "recall": 0.75, "precision": 0.75, "f1": 0.75, "iou": 0.6, "accuracy": 0.8, "balanced_accuracy": 0.791667,
    "inverse_balanced_accuracy": 0.791667, "auc": 0.875, "inverse_auc": 0.895833, "auprc": 0.854167,
    "inverse_auprc": 0.854167, "correlation": 0.769778, "spearman": 0.753898, "cosine": 0.891674, "mad": 4.25,
    "wpmi": 0.409459, "combined_balanced_accuracy": 0.791667, "precision_balanced_accuracy": 0.770270,
    "precision_inverse_balanced_accuracy": 0.770270,
}  # fmt: skip


def build(name, alpha=0.01, **settings):
    built = METRICS.resolve(name)
    return replace(built, **({"alpha": alpha} if hasattr(built, "alpha") else {}), **settings)


def alphas(name):
    return (0.04, 0.8) if hasattr(METRICS.resolve(name), "alpha") else (None,)


def transcribed(name, a, c, alpha):
    a, c = a.double().numpy(), c.double().numpy()
    return torch.from_numpy(np.array([[metric(name, x, y, alpha) for y in c.T] for x in a.T]))


def both_ways(monkeypatch):
    """Yield once for compiled loops and once without them."""
    yield
    for module in (average_precision, ranks):
        monkeypatch.setattr(module, "runs_compiled", lambda *tensors: False)
    yield


def test_every_metric_of_the_framework_has_its_name():
    assert set(METRICS) == {*NAMES, *COMBINATIONS}
    assert len(NAMES) == 18


@pytest.mark.parametrize("name", [*NAMES, *COMBINATIONS])
def test_traits(name):
    built = METRICS.resolve(name)
    assert isinstance(built, NeuronMetric)
    assert isinstance(built, MetricTraits)
    assert built.higher_is_better
    assert built.score_range[0] < built.score_range[1]
    assert (built.passes_missing_labels and built.passes_extra_labels) == (name in PASSING)
    assert built == METRICS.resolve(name)


@pytest.mark.parametrize("name", EXACT)
def test_equals_its_transcription(name, difficult, monkeypatch):
    a, c = difficult
    expected = {alpha: transcribed(name, a, c, alpha) for alpha in alphas(name)}
    for _ in both_ways(monkeypatch):
        for alpha, value in expected.items():
            scores = build(name, alpha).score(a, c)
            torch.testing.assert_close(scores, value, rtol=1e-9, atol=1e-11, equal_nan=True)


@pytest.mark.parametrize("name", EXACT)
def test_binary_activations_need_no_alpha(name):
    generator = torch.Generator().manual_seed(3)
    a, c = torch.rand(200, 4, generator=generator) < 0.3, torch.rand(200, 5, generator=generator)
    torch.testing.assert_close(build(name, None).score(a, c), transcribed(name, a, c, None), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", HAND)
def test_hand_example(name):
    a = torch.tensor([9.0, 7, 5, 5, 3, 2, 1, 0, 0, 0])[:, None]
    c = torch.tensor([0.9, 0.8, 0.2, 0.6, 0.1, 0.7, 0, 0, 0.3, 0])[:, None]
    assert build(name, 0.3).score(a, c).item() == pytest.approx(HAND[name], abs=1e-6)


@pytest.mark.parametrize("name", [*NAMES, *COMBINATIONS])
def test_own_pairs_are_the_diagonal_and_blocks_do_not_matter(name, difficult, monkeypatch):
    a, c = difficult
    a, c = a[:, : min(a.shape[1], c.shape[1])], c[:, : min(a.shape[1], c.shape[1])]
    for _ in both_ways(monkeypatch):
        scores = build(name, 0.1).score(a, c)
        for max_bytes in (1, 30_000):
            small = build(name, 0.1, max_bytes=max_bytes)
            torch.testing.assert_close(small.score(a, c), scores, equal_nan=True, rtol=1e-12, atol=1e-12)
            torch.testing.assert_close(small.score_pairs(a, c), scores.diagonal(), equal_nan=True)
        assert scores.dtype == torch.float64


@pytest.mark.parametrize("name", [*NAMES, *COMBINATIONS])
def test_nothing_is_infinite_or_out_of_range(name, difficult):
    low, high = METRICS.resolve(name).score_range
    scores = build(name, 0.1).score(*difficult)
    assert not scores.isinf().any()
    assert (scores.isnan() | ((scores >= low - 1e-12) & (scores <= high + 1e-12))).all()


@pytest.mark.parametrize("name", EXACT)
def test_the_order_of_images_neurons_and_concepts_does_not_matter(name, activations, presence):
    generator = torch.Generator().manual_seed(9)
    images, neurons, concepts = (torch.randperm(size, generator=generator) for size in (60, 5, 5))
    scores = build(name, 0.1).score(activations, presence)
    shuffled = build(name, 0.1).score(activations[images][:, neurons], presence[images][:, concepts])
    torch.testing.assert_close(shuffled, scores[neurons][:, concepts])


@pytest.mark.parametrize("name", sorted({*EXACT} - {"correlation", "cosine", "mad"}))
def test_increasing_transforms_do_not_matter_where_only_the_order_is_read(name, activations, presence):
    a = activations.double()
    torch.testing.assert_close(build(name, 0.1).score(a.exp() - 7, presence), build(name, 0.1).score(a, presence))


@pytest.mark.parametrize("name", [*NAMES, *COMBINATIONS])
def test_a_neuron_without_a_function_is_undefined_everywhere(name, presence):
    a = torch.stack([torch.zeros(60), torch.full((60,), 0.1), torch.linspace(0, 1, 60).log()], dim=1)
    assert build(name, 0.1).score(a, presence).isnan().all()


@pytest.mark.parametrize("name", ["recall", "precision", "f1", "iou", "cosine", "correlation", "spearman", "auprc"])
def test_a_sparse_neuron_that_matches_its_concept_is_perfect(name):
    neuron = torch.zeros(1000, 1)
    neuron[:5] = torch.tensor([3.0, 3, 3, 3, 3])[:, None]
    frequent = (torch.arange(1000) < 100).float()
    scores = build(name, 0.05).score(neuron, torch.stack([neuron[:, 0] > 0, frequent], dim=1).float())
    assert scores[0, 0].item() == pytest.approx(1)
    assert name == "recall" or scores[0, 1] < 0.5


@pytest.mark.parametrize("name", sorted({*NAMES} - {"correlation"}))
def test_nothing_touches_the_global_generator(name, activations, presence):
    state = torch.get_rng_state()
    METRICS.resolve(name).score(activations, presence)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("name", [*NAMES, *COMBINATIONS])
def test_bad_inputs(name, activations, presence):
    built = METRICS.resolve(name)
    with pytest.raises(ValueError, match="same number of images"):
        built.score(activations[:9], presence)
    with pytest.raises(ValueError, match="one column per neuron each"):
        built.score_pairs(activations[:, :2], presence)
    with pytest.raises(ValueError, match="`max_bytes` to be greater than 0"):
        replace(built, max_bytes=0)
    if hasattr(built, "alpha"):
        for alpha in (0, 1, -0.1, math.nan):
            with pytest.raises(ValueError, match="`alpha` to be between 0 and 1"):
                replace(built, alpha=alpha)
        with pytest.raises(ValueError, match="0 or 1 with `alpha`=None"):
            replace(built, alpha=None).score(activations, presence)
