import pytest
import torch

from lightning_dissect.similarity import SIMILARITIES, PreparableSimilarity, Similarity, prepare


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


@pytest.mark.parametrize("name", list(SIMILARITIES))
def test_a_prepared_similarity_scores_many_layers(name, activations, concept_matrix):
    similarity = SIMILARITIES.resolve(name)
    score = prepare(similarity, concept_matrix)
    for layer in (activations, activations[:, :3]):
        torch.testing.assert_close(score(layer), similarity.score(layer, concept_matrix))
    with pytest.raises(ValueError, match="same number of images"):
        score(activations[:100])


def test_which_similarities_can_be_prepared():
    prepared = [name for name in SIMILARITIES if isinstance(SIMILARITIES.resolve(name), PreparableSimilarity)]
    assert prepared == ["correlation", "soft_wpmi", "wpmi"]
