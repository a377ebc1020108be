import pytest
import torch
from sklearn.metrics.pairwise import cosine_similarity

from lightning_dissect.similarity import Cosine


def test_equals_scikit_learn_for_every_dtype(activations, concept_matrix, dtype):
    a, p = activations.to(dtype), concept_matrix.to(dtype)
    expected = torch.from_numpy(cosine_similarity(a.T.double().numpy(), p.T.double().numpy()))
    torch.testing.assert_close(Cosine().score(a, p), expected, rtol=0, atol=1e-12)


def test_positive_scale_does_not_matter(activations, concept_matrix):
    torch.testing.assert_close(
        Cosine().score(activations * 8, concept_matrix * 4), Cosine().score(activations, concept_matrix)
    )


def test_own_concept_scores_one(concept_matrix):
    torch.testing.assert_close(
        Cosine().score(concept_matrix, concept_matrix).diagonal(), torch.ones(11, dtype=torch.float64)
    )


def test_undefined_pairs_are_nan(activations, concept_matrix):
    a = torch.cat([torch.zeros(120, 1), torch.ones(120, 1), activations], dim=1)
    scores = Cosine().score(a, torch.cat([concept_matrix, torch.zeros(120, 1)], dim=1))
    assert scores[:2].isnan().all()
    assert scores[:, -1].isnan().all()
    torch.testing.assert_close(scores[2:, :-1], Cosine().score(activations, concept_matrix))


def test_budget_does_not_change_scores(activations, concept_matrix):
    torch.testing.assert_close(
        Cosine(max_bytes=1).score(activations, concept_matrix), Cosine().score(activations, concept_matrix)
    )


def test_budget_must_be_positive():
    with pytest.raises(ValueError, match="`max_bytes` to be greater than 0"):
        Cosine(max_bytes=0)
