import numpy as np
import pytest
import torch

from lightning_dissect.similarity import WPMI


def slow_wpmi(activations, concept_matrix, top_k=28, scale=2.0, prior_weight=0.6):
    a, p = activations.double().numpy(), concept_matrix.double().numpy()
    exponentials = np.exp(scale * p)
    q = exponentials / exponentials.sum(axis=1, keepdims=True)
    likelihood = np.zeros((a.shape[1], p.shape[1]))
    for neuron in range(a.shape[1]):
        order = sorted(range(len(a)), key=lambda row: (-a[row, neuron], row))
        for row in order[:top_k]:
            likelihood[neuron] += np.log(q[row] + 1e-7)
    peak = likelihood.max(axis=0)
    prior = peak + np.log(np.exp(likelihood - peak).mean(axis=0))
    return torch.from_numpy(likelihood - prior_weight * prior)


def test_equals_slow_transcription_for_every_dtype(activations, concept_matrix, dtype):
    a, p = activations.to(dtype), concept_matrix.to(dtype)
    torch.testing.assert_close(WPMI().score(a, p), slow_wpmi(a, p), rtol=0, atol=1e-5)


def test_parameters_enter_the_formula(activations, concept_matrix):
    scores = WPMI(top_k=5, scale=30.0, prior_weight=1.0).score(activations, concept_matrix)
    slow = slow_wpmi(activations, concept_matrix, top_k=5, scale=30.0, prior_weight=1.0)
    torch.testing.assert_close(scores, slow, rtol=0, atol=1e-5)
    torch.testing.assert_close(scores.exp().sum(dim=0), torch.full((11,), 7.0, dtype=torch.float64))


def test_order_within_the_top_does_not_count(activations, concept_matrix):
    flattened = activations.clone()
    for column in range(7):
        top = activations[:, column].topk(28).indices
        flattened[top, column] = activations[top, column].flip(0)
    torch.testing.assert_close(WPMI().score(flattened, concept_matrix), WPMI().score(activations, concept_matrix))


def test_dead_neuron_gets_nan_and_leaves_the_others_alone(activations, concept_matrix):
    spoiled = torch.cat([torch.zeros(120, 1), activations], dim=1)
    scores = WPMI().score(spoiled, concept_matrix)
    assert scores[0].isnan().all()
    torch.testing.assert_close(scores[1:], WPMI().score(activations, concept_matrix))


def test_tiny_probe_is_refused(activations, concept_matrix):
    with pytest.raises(ValueError, match="at least 20 images"):
        WPMI().score(activations[:5], concept_matrix[:5])


@pytest.mark.parametrize("name", ["top_k", "scale", "epsilon", "max_bytes"])
def test_arguments_must_be_positive(name):
    with pytest.raises(ValueError, match=f"`{name}` to be greater than 0"):
        WPMI(**{name: 0})
