import pytest
import torch

from lightning_dissect.concept_matrix import ConceptMatrix
from lightning_dissect.similarity import prepare, score_all


class Recorder:
    def __init__(self, result=None):
        self.result = result
        self.seen = []

    def score(self, activations, concept_matrix):
        self.seen.append(activations)
        return activations.T @ concept_matrix if self.result is None else self.result


def test_live_neurons_alone_are_scored(activations, concept_matrix):
    similarity = Recorder()
    spoiled = torch.cat([torch.ones(120, 1), activations], dim=1)
    scores = score_all(prepare(similarity, concept_matrix), spoiled)
    assert torch.equal(similarity.seen[0], activations)
    assert scores[0].isnan().all()
    torch.testing.assert_close(scores[1:], (activations.T @ concept_matrix).double())


def test_activations_that_are_all_live_are_not_copied(activations, concept_matrix):
    similarity = Recorder()
    score_all(prepare(similarity, concept_matrix), activations)
    assert similarity.seen[0] is activations


def test_the_whole_matrix_is_made_of_factors(activations):
    matrix = ConceptMatrix(torch.ones(120, 2), torch.ones(3, 2))
    assert score_all(prepare(Recorder(), matrix), activations).shape == (7, 3)
    assert matrix.is_kept


def test_scores_of_a_wrong_shape(activations, concept_matrix):
    with pytest.raises(ValueError, match=r"`similarity` to return scores of shape \(7, 11\).*but got \(2, 2\) from"):
        score_all(prepare(Recorder(torch.ones(2, 2)), concept_matrix), activations)
