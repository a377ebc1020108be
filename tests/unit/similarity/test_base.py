import pytest
import torch

from lightning_dissect.similarity import SIMILARITIES, PreparableSimilarity, Similarity


def test_registered_names():
    assert list(SIMILARITIES) == ["correlation", "cosine", "cosine_cubed", "rank_reorder", "soft_wpmi", "wpmi"]


@pytest.mark.parametrize("name", list(SIMILARITIES))
def test_every_similarity_is_a_value_that_labels_most_planted_neurons(name, activations, concept_matrix):
    similarity = SIMILARITIES.resolve(name)
    assert isinstance(similarity, Similarity)
    assert similarity == SIMILARITIES.resolve(name)
    assert hash(similarity) == hash(SIMILARITIES.resolve(name))
    labels = similarity.score(activations, concept_matrix).argmax(dim=1)
    assert (labels == torch.arange(7)).sum() >= 4


def test_unknown_name():
    with pytest.raises(ValueError, match=r"similarity or one of .*'soft_wpmi'.* but got 'soft_wpni'"):
        SIMILARITIES.resolve("soft_wpni")


def test_every_similarity_can_be_prepared():
    assert all(isinstance(SIMILARITIES.resolve(name), PreparableSimilarity) for name in SIMILARITIES)
