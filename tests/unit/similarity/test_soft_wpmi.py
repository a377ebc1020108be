import math

import numpy as np
import pytest
import torch

from lightning_dissect.similarity import SoftWPMI


def slow_soft_wpmi(activations, concept_matrix, top_k=100, scale=10.0, prior_weight=1.0):
    a, p = activations.double().numpy(), concept_matrix.double().numpy()
    exponentials = np.exp(scale * p)
    q = exponentials / exponentials.sum(axis=1, keepdims=True)
    likelihood = np.zeros((a.shape[1], p.shape[1]))
    for neuron in range(a.shape[1]):
        order = sorted(range(len(a)), key=lambda row: (-a[row, neuron], row))
        for rank, row in enumerate(order[:top_k]):
            membership = 0.998 - rank / top_k * (0.998 - 0.97)
            likelihood[neuron] += np.log(1 + membership * (q[row] - 1) + 1e-7)
    peak = likelihood.max(axis=0)
    prior = peak + np.log(np.exp(likelihood - peak).mean(axis=0))
    return torch.from_numpy(likelihood - prior_weight * prior)


def test_equals_slow_transcription_for_every_dtype(activations, concept_matrix, dtype):
    a, p = activations.to(dtype), concept_matrix.to(dtype)
    scores = SoftWPMI().score(a, p)
    assert scores.dtype == torch.float64
    torch.testing.assert_close(scores, slow_soft_wpmi(a, p), rtol=0, atol=1e-5)


def test_parameters_enter_the_formula(activations, concept_matrix):
    scores = SoftWPMI(top_k=9, scale=25.0, prior_weight=0.4).score(activations, concept_matrix)
    slow = slow_soft_wpmi(activations, concept_matrix, top_k=9, scale=25.0, prior_weight=0.4)
    torch.testing.assert_close(scores, slow, rtol=0, atol=1e-5)


def test_exponentials_sum_to_the_number_of_neurons(activations, concept_matrix):
    scores = SoftWPMI(top_k=20).score(activations, concept_matrix)
    torch.testing.assert_close(scores.exp().sum(dim=0), torch.full((11,), 7.0, dtype=torch.float64))
    assert scores.max() <= math.log(7)


def test_single_neuron_scores_zero(activations, concept_matrix):
    scores = SoftWPMI(top_k=20).score(activations[:, :1], concept_matrix)
    torch.testing.assert_close(scores, torch.zeros_like(scores), rtol=0, atol=1e-12)


def test_only_the_order_of_activations_counts(activations, concept_matrix):
    score = SoftWPMI(top_k=20).score
    torch.testing.assert_close(
        score(activations.double().exp() * 3 - 1, concept_matrix), score(activations.double(), concept_matrix)
    )


def test_permuting_neurons_permutes_rows_and_order_of_images_does_not_matter(activations, concept_matrix):
    score = SoftWPMI(top_k=20).score
    generator = torch.Generator().manual_seed(2)
    neurons, images = torch.randperm(7, generator=generator), torch.randperm(120, generator=generator)
    scores = score(activations, concept_matrix)
    torch.testing.assert_close(score(activations[:, neurons], concept_matrix), scores[neurons])
    torch.testing.assert_close(score(activations[images], concept_matrix[images]), scores)


def test_ties_go_to_the_lower_row(concept_matrix, activations):
    tied = activations.round()
    broken = tied.double() - torch.arange(120).double()[:, None] * 1e-6
    score = SoftWPMI(top_k=20).score
    torch.testing.assert_close(score(tied, concept_matrix), score(broken, concept_matrix))


@pytest.mark.parametrize("bad", [0.0, 3.0, math.nan, math.inf])
def test_a_neuron_that_says_nothing_gets_nan_and_leaves_the_others_alone(activations, concept_matrix, bad):
    score = SoftWPMI(top_k=20).score
    spoiled = torch.cat([activations[:, :3], torch.full((120, 1), bad), activations[:, 3:]], dim=1)
    scores = score(spoiled, concept_matrix)
    assert scores[3].isnan().all()
    torch.testing.assert_close(scores[[0, 1, 2, 4, 5, 6, 7]], score(activations, concept_matrix))


def test_only_dead_neurons(concept_matrix):
    assert SoftWPMI(top_k=20).score(torch.zeros(120, 2), concept_matrix).isnan().all()


@pytest.mark.parametrize("max_bytes", [1, 5000])
def test_budget_does_not_change_scores(activations, concept_matrix, max_bytes):
    torch.testing.assert_close(
        SoftWPMI(top_k=20, max_bytes=max_bytes).score(activations, concept_matrix),
        SoftWPMI(top_k=20).score(activations, concept_matrix),
        rtol=0,
        atol=1e-12,
    )


def test_small_probe_uses_a_tenth_of_its_images(activations, concept_matrix):
    a, p = activations[:50], concept_matrix[:50]
    torch.testing.assert_close(SoftWPMI().score(a, p), SoftWPMI(top_k=5).score(a, p))


def test_tiny_probe_is_refused(activations, concept_matrix):
    with pytest.raises(ValueError, match="at least 20 images or `top_k`=100 of them but got 19"):
        SoftWPMI().score(activations[:19], concept_matrix[:19])


def test_different_numbers_of_images_are_refused(activations, concept_matrix):
    with pytest.raises(ValueError, match="same number of images"):
        SoftWPMI().score(activations[:100], concept_matrix)


@pytest.mark.parametrize("name", ["top_k", "scale", "epsilon", "max_bytes"])
def test_arguments_must_be_positive(name):
    with pytest.raises(ValueError, match=f"`{name}` to be greater than 0"):
        SoftWPMI(**{name: 0})


@pytest.mark.parametrize("memberships", [(0.9, 0.95), (1.1, 0.9), (0.9, 0.0)])
def test_memberships_must_be_ordered_probabilities(memberships):
    with pytest.raises(ValueError, match="ordered within"):
        SoftWPMI(first_membership=memberships[0], last_membership=memberships[1])
