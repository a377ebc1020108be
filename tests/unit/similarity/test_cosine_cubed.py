import numpy as np
import pytest
import torch

from lightning_dissect.similarity import CosineCubed


def slow_cosine_cubed(activations, concept_matrix, min_norm=1e-3):
    a, p = activations.double().numpy(), concept_matrix.double().numpy()
    scores = np.empty((a.shape[1], p.shape[1]))
    for neuron in range(a.shape[1]):
        for concept in range(p.shape[1]):
            x = (a[:, neuron] - a[:, neuron].mean()) ** 3
            y = (p[:, concept] - p[:, concept].mean()) ** 3
            norms = max(np.sqrt((x * x).sum()), min_norm) * max(np.sqrt((y * y).sum()), min_norm)
            scores[neuron, concept] = (x * y).sum() / norms
    return torch.from_numpy(scores)


def test_equals_slow_transcription_for_every_dtype(activations, concept_matrix, dtype):
    a, p = activations.to(dtype), concept_matrix.to(dtype)
    torch.testing.assert_close(CosineCubed().score(a, p), slow_cosine_cubed(a, p), rtol=1e-6, atol=1e-7)


def test_floor_of_the_norm_binds_for_weak_concepts(activations, concept_matrix):
    weak = concept_matrix * 0.01
    scores = CosineCubed().score(activations, weak)
    torch.testing.assert_close(scores, slow_cosine_cubed(activations, weak), rtol=1e-5, atol=1e-12)
    assert scores.abs().max() < 1e-3
    torch.testing.assert_close(
        CosineCubed(min_norm=1e-9).score(activations, weak),
        slow_cosine_cubed(activations, weak, 1e-9),
        rtol=1e-5,
        atol=1e-6,
    )


def test_dead_neuron_gets_nan_and_flat_concept_zero(activations, concept_matrix):
    a = torch.cat([torch.full((120, 1), 2.0), activations], dim=1)
    scores = CosineCubed().score(a, torch.cat([concept_matrix, torch.full((120, 1), 0.25)], dim=1))
    assert scores[0].isnan().all()
    assert scores[1:, -1].eq(0).all()


@pytest.mark.parametrize("name", ["min_norm", "max_bytes"])
def test_arguments_must_be_positive(name):
    with pytest.raises(ValueError, match=f"`{name}` to be greater than 0"):
        CosineCubed(**{name: 0})


@pytest.mark.parametrize("columns", [0, 2, 9, 10])
def test_memory_for_few_columns_does_not_change_scores(columns, activations, concept_matrix):
    """Seven neurons are cubed in several parts, or once where they leave room for concepts."""
    few = CosineCubed(max_bytes=max(1, 4 * len(activations) * columns)).score(activations, concept_matrix)
    torch.testing.assert_close(few, CosineCubed().score(activations, concept_matrix), rtol=1e-6, atol=1e-6)
