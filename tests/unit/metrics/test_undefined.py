import pytest
import torch

from lightning_dissect.metrics import (
    BalancedAccuracy,
    CorrelationTopAndRandom,
    InverseAUC,
    PearsonCorrelation,
    Precision,
    UndefinedScores,
    explain_undefined,
)


@pytest.fixture
def spoiled(activations, presence):
    a, c = activations.clone(), presence.clone()
    a[0, 0] = torch.nan
    a[:, 1] = 0
    a[:, 2] = -a[:, 2].abs() * (torch.arange(60) < 2)
    c[3, 0] = torch.inf
    c[:, 1] = 1
    c[:, 2] = c[:, 2] * 0.4
    c[:, 3] = 0.5 + c[:, 3] / 2
    return a, c


def test_every_undefined_score_has_a_reason(spoiled):
    a, c = spoiled
    found = explain_undefined(InverseAUC().score(a, c), a, c)
    assert found.reasons == {
        "the neuron is not finite": 5,
        "the neuron is the same on every image": 5,
        "the concept is not finite": 3,
        "the concept is the same on every image": 3,
        "the concept is in no image": 3,
        "the concept is in every image": 3,
    }
    assert (found.total, found.undefined) == (25, 22)
    assert "22 of 25 scores are undefined: 5 because the neuron is not finite" in str(found)


def test_silent_neurons_are_found_by_alpha(spoiled):
    a, c = spoiled
    found = explain_undefined(Precision(0.1).score(a, c), a, c, alpha=0.1)
    assert found.reasons["no image activates the neuron"] == 5


def test_own_pairs(spoiled):
    a, c = spoiled
    found = explain_undefined(PearsonCorrelation().score_pairs(a, c), a, c)
    assert found.reasons == {"the neuron is not finite": 1, "the neuron is the same on every image": 1}


def test_what_no_rule_explains_is_counted_too(activations):
    rare = torch.zeros(60, 1)
    rare[activations[:, 0].argmin()] = 1
    scores = CorrelationTopAndRandom(0.05, k=2).score(activations[:, :1], rare)
    assert explain_undefined(scores, activations[:, :1], rare, 0.05).undefined == 1


def test_nothing_undefined(activations, presence):
    found = explain_undefined(BalancedAccuracy(0.1).score(activations, presence), activations, presence, 0.1)
    assert found == UndefinedScores(25, {})
    assert str(found) == "all 25 scores are defined"


def test_scores_must_fit(activations, presence):
    with pytest.raises(ValueError, match="`scores` to have shape"):
        explain_undefined(torch.zeros(3), activations, presence)
