"""Identities between metrics, and closed forms of the theoretical sanity checks."""

import math
from dataclasses import replace

import pytest
import torch

from lightning_dissect.metrics import (
    AUC,
    AUPRC,
    F1,
    WPMI,
    BalancedAccuracy,
    Cosine,
    InverseAUC,
    InverseAUPRC,
    InverseBalancedAccuracy,
    IoU,
    MeanActivationDifference,
    PearsonCorrelation,
    Precision,
    Recall,
    SpearmanCorrelation,
    binarise,
)


@pytest.fixture
def labels():
    return torch.rand(300, 4, generator=torch.Generator().manual_seed(5)) < torch.tensor([0.1, 0.3, 0.5, 0.9])


@pytest.fixture
def neurons():
    return torch.randn(300, 3, generator=torch.Generator().manual_seed(6))


def test_f1_is_iou_in_another_unit_and_a_harmonic_mean(neurons, labels):
    f1, iou, precision, recall = (m(0.2).score(neurons, labels) for m in (F1, IoU, Precision, Recall))
    torch.testing.assert_close(f1, 2 * iou / (1 + iou))
    torch.testing.assert_close(f1, 2 * precision * recall / (precision + recall))


def test_auc_of_binary_concepts_is_balanced_accuracy(neurons, labels):
    torch.testing.assert_close(AUC(0.2).score(neurons, labels), BalancedAccuracy(0.2).score(neurons, labels))
    active = binarise(neurons, 0.2)
    inverse = InverseBalancedAccuracy(None).score(active, labels)
    torch.testing.assert_close(InverseAUC().score(active, labels), inverse)


def test_correlations_of_binary_data(neurons, labels):
    active = binarise(neurons, 0.2)
    pearson = PearsonCorrelation().score(active, labels)
    torch.testing.assert_close(SpearmanCorrelation().score(active, labels), pearson)
    precision, recall = Precision(None).score(active, labels), Recall(None).score(active, labels)
    torch.testing.assert_close(Cosine().score(active, labels), (precision * recall).sqrt())


def test_pearson_is_mad_in_units_of_spread(neurons, labels):
    rate = labels.double().mean(dim=0)
    spread = neurons.double().std(dim=0, correction=0)[:, None]
    difference = MeanActivationDifference().score(neurons, labels)
    expected = difference * (rate * (1 - rate)).sqrt() / spread
    torch.testing.assert_close(PearsonCorrelation().score(neurons, labels), expected)


def test_wpmi_without_the_prior_is_the_mean_log_likelihood(neurons):
    presence = torch.rand(300, 1, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    active = binarise(neurons, 0.2)
    expected = torch.stack([presence[rows].log().mean() for rows in active.T])
    torch.testing.assert_close(WPMI(0.2, lam=0).score(neurons, presence)[:, 0], expected)
    assert WPMI(0.2, lam=0).score(neurons, torch.zeros(300, 1)).tolist() == [[pytest.approx(math.log(1e-8))]] * 3
    assert WPMI(0.2).score(neurons, torch.zeros(300, 1)).isnan().all()


@pytest.mark.parametrize("lam", [-1, math.inf, math.nan])
def test_lam_is_a_finite_weight(lam):
    with pytest.raises(ValueError, match="`lam` to be 0 or more"):
        WPMI(lam=lam)


def test_what_a_constant_added_to_activations_changes(neurons, labels):
    a = neurons.double()
    for metric in (PearsonCorrelation(), MeanActivationDifference()):
        torch.testing.assert_close(metric.score(a + 1e6, labels), metric.score(a, labels), rtol=0, atol=1e-8)
    assert (Cosine().score(a + 1, labels) - Cosine().score(a, labels)).abs().max() > 0.1
    torch.testing.assert_close(Cosine().score(1e-200 * a, labels), Cosine().score(a, labels))


def h(x, y):
    return 2 * x * y / (x + y)


@pytest.mark.parametrize("frequency", [0.4, 0.1, 0.01])
def test_closed_forms_of_missing_and_extra_labels(frequency):
    """The change of score where exactly half of the labels are missing and where exactly as many are added."""
    images, g = 10_000, frequency
    count = int(g * images)
    neuron, missing, extra = (torch.arange(images)[:, None] < limit for limit in (count, count // 2, 2 * count))
    q, r = g / (1 - g), g / (2 - g)
    expected = {
        Recall(None): (-1 / 2, 0),
        Precision(None): (0, -1 / 2),
        F1(None): (-1 / 3, -1 / 3),
        IoU(None): (-1 / 2, -1 / 2),
        AUC(None): (-1 / 4, -q / 2),
        InverseAUC(): (-r / 2, -1 / 4),
        PearsonCorrelation(): (math.sqrt((1 - g) / (2 - g)) - 1, math.sqrt((1 - 2 * g) / (2 * (1 - g))) - 1),
        SpearmanCorrelation(): (math.sqrt((1 - g) / (2 - g)) - 1, math.sqrt((1 - 2 * g) / (2 * (1 - g))) - 1),
        Cosine(): (math.sqrt(1 / 2) - 1, math.sqrt(1 / 2) - 1),
        WPMI(None): (math.log(1e-8) / 2 + math.log(2), -math.log(2)),
        MeanActivationDifference(): (-r, -1 / 2),
        AUPRC(None): (-(1 / 2 - g / 2), -1 / 2),
        InverseAUPRC(): (-1 / 2, -(1 / 2 - g)),
    }
    for metric, changes in expected.items():
        perfect, half, double = (metric.score(neuron, labels).item() for labels in (neuron, missing, extra))
        assert [half - perfect, double - perfect] == pytest.approx(changes, abs=1e-9), metric


@pytest.mark.parametrize("frequency", [0.499, 0.1])
def test_random_ties_shrink_spearman_as_published(frequency):
    neuron = (torch.arange(20_000) < frequency * 20_000)[:, None]
    found = [SpearmanCorrelation(ties="random", seed=seed).score(neuron, neuron).item() for seed in range(5)]
    assert sum(found) / 5 == pytest.approx(3 * frequency * (1 - frequency), abs=0.015)
    assert found[0] == pytest.approx(SpearmanCorrelation(ties="random").score_pairs(neuron, neuron).item())
    assert found[0] != found[1]
    assert SpearmanCorrelation(ties="random").score(neuron, torch.ones(20_000, 1)).isnan().all()


def test_random_ties_leave_auc_where_it_is_on_average(neurons, labels):
    a = neurons.round()
    for metric in (AUC(0.2), InverseAUC()):
        drawn = [replace(metric, ties="random", seed=seed).score(a, labels) for seed in range(200)]
        torch.testing.assert_close(torch.stack(drawn).mean(dim=0), metric.score(a, labels), rtol=0, atol=0.02)
