import math
from dataclasses import dataclass

import pytest
import torch

from lightning_dissect.concept_matrix import ConceptMatrix
from lightning_dissect.labelling import CLIPDissect
from lightning_dissect.metrics import PearsonCorrelation
from lightning_dissect.presence import ConceptPresence
from lightning_dissect.recording import top_images
from lightning_dissect.similarity import SIMILARITIES, Correlation, SoftWPMI
from lightning_dissect.types import NeuronLabel, TopImage

CONCEPTS = [f"concept {index}" for index in range(9)]


@dataclass(frozen=True)
class Fixed:
    """Returns the scores it was given."""

    scores: torch.Tensor

    def score(self, activations, concept_matrix):
        return self.scores


@pytest.fixture
def concept_matrix():
    return 0.2 + 0.03 * torch.randn(50, 9, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def activations(concept_matrix):
    noise = torch.randn(50, 4, generator=torch.Generator().manual_seed(1))
    return 60 * (concept_matrix[:, [8, 2, 5, 0]] - 0.2) + 0.3 * noise


def label(activations, concept_matrix, concepts=CONCEPTS, **settings):
    values, ids = top_images(activations, torch.arange(len(activations)) + 100, 3)
    return CLIPDissect(**settings).label("layer4", activations, concept_matrix, concepts, values, ids)


def test_records(activations, concept_matrix):
    neurons = label(activations, concept_matrix)
    assert all(isinstance(neuron, NeuronLabel) for neuron in neurons)
    assert [neuron.label for neuron in neurons] == ["concept 8", "concept 2", "concept 5", "concept 0"]
    assert [neuron.unit for neuron in neurons] == [0, 1, 2, 3]
    assert {(neuron.layer, neuron.status, len(neuron.candidates)) for neuron in neurons} == {("layer4", "labelled", 5)}
    order = activations[:, 1].argsort(descending=True)[:3]
    expected = tuple(TopImage(row + 100, activations[row, 1].item()) for row in order.tolist())
    assert neurons[1].top_images == expected


@pytest.mark.parametrize("name", list(SIMILARITIES))
def test_candidates_are_the_best_scores_with_their_quality(activations, concept_matrix, name):
    scores = SIMILARITIES.resolve(name).score(activations, concept_matrix)
    qualities = PearsonCorrelation().score(activations, ConceptPresence(concept_matrix).columns(slice(None)))
    for neuron in label(activations, concept_matrix, similarity=name, candidates=3):
        best = scores[neuron.unit].argsort(descending=True, stable=True)[:3].tolist()
        assert [candidate.concept for candidate in neuron.candidates] == [CONCEPTS[index] for index in best]
        for candidate, index in zip(neuron.candidates, best, strict=True):
            assert candidate.score == scores[neuron.unit, index].item()
            assert candidate.quality == pytest.approx(qualities[neuron.unit, index].item(), abs=1e-12)


def test_quality_can_be_left_to_others(activations, concept_matrix):
    top_ids, top_values = torch.zeros(2, activations.shape[1], 1)
    prepared = CLIPDissect().prepared(ConceptMatrix.of(concept_matrix))
    measured, left = (
        prepared.table(activations, top_values, top_ids, with_quality=with_quality) for with_quality in (True, False)
    )
    assert torch.equal(measured.concepts, left.concepts)
    assert left.qualities.shape == measured.qualities.shape
    assert left.qualities.isnan().all()


def test_a_similarity_by_name_is_the_object(activations, concept_matrix):
    assert CLIPDissect("soft_wpmi") == CLIPDissect(SoftWPMI())
    assert CLIPDissect().similarity == Correlation()


def test_dead_and_non_finite_neurons_are_marked_and_kept_out_of_the_similarity(activations, concept_matrix):
    dead, lost = torch.full((50, 1), 0.7), torch.full((50, 1), math.inf)
    spoiled = torch.cat([dead, activations[:, :2], lost, activations[:, 2:]], dim=1)
    neurons = label(spoiled, concept_matrix, similarity=SoftWPMI(top_k=5))
    assert [n.status for n in neurons] == ["dead", "labelled", "labelled", "non_finite", "labelled", "labelled"]
    assert neurons[0].candidates == neurons[3].candidates == ()
    assert len(neurons[0].top_images) == 3
    alive = [neuron.candidates for neuron in neurons if neuron.status == "labelled"]
    without = [neuron.candidates for neuron in label(activations, concept_matrix, similarity=SoftWPMI(top_k=5))]
    assert alive == without


def test_a_layer_of_dead_neurons(concept_matrix):
    neurons = label(torch.zeros(50, 2), concept_matrix)
    assert [(neuron.status, neuron.label) for neuron in neurons] == [("dead", ""), ("dead", "")]


def test_ties_go_to_the_lower_index_and_nan_is_never_chosen(activations, concept_matrix):
    scores = torch.full((4, 9), -1.0)
    scores[:, [3, 6]] = 2.0
    scores[:, 1] = math.nan
    scores[2] = math.nan
    scores[3, :7] = -math.inf
    neurons = label(activations, concept_matrix, similarity=Fixed(scores), candidates=9)
    names = [[candidate.concept[-1] for candidate in neuron.candidates] for neuron in neurons]
    assert names == [list("36024578"), list("36024578"), [], list("78")]
    assert neurons[2].label == ""


def test_fewer_concepts_than_candidates(activations, concept_matrix):
    assert len(label(activations, concept_matrix[:, :2], CONCEPTS[:2])[0].candidates) == 2


def test_budget_does_not_change_labels(activations, concept_matrix):
    for one, other in zip(
        label(activations, concept_matrix, max_bytes=1), label(activations, concept_matrix), strict=True
    ):
        assert [found.concept for found in one.candidates] == [found.concept for found in other.candidates]
        assert [found.score for found in one.candidates] == [found.score for found in other.candidates]
        qualities = [found.quality for found in other.candidates]
        assert [found.quality for found in one.candidates] == pytest.approx(qualities, abs=1e-12)


def test_half_precision(activations, concept_matrix):
    neurons = label(activations.bfloat16(), concept_matrix.half())
    assert [neuron.label for neuron in neurons] == ["concept 8", "concept 2", "concept 5", "concept 0"]


def test_wrong_shape_of_scores_names_the_similarity(activations, concept_matrix):
    similarity = Fixed(torch.zeros(9, 4))
    with pytest.raises(ValueError, match=r"scores of shape \(4, 9\) \(neurons, concepts\) but got \(9, 4\) from Fixed"):
        label(activations, concept_matrix, similarity=similarity)


def test_what_a_similarity_raises_reaches_the_user(activations, concept_matrix):
    with pytest.raises(ValueError, match="at least 20 images"):
        label(activations[:10], concept_matrix[:10], similarity="soft_wpmi")


def test_input_that_does_not_fit(activations, concept_matrix):
    with pytest.raises(ValueError, match="got 8 names for 9 columns"):
        label(activations, concept_matrix, CONCEPTS[:8])
    with pytest.raises(ValueError, match="same number of images"):
        label(activations, concept_matrix[:10])
    with pytest.raises(ValueError, match="`concept_matrix` to be finite"):
        label(activations, concept_matrix.index_fill(1, torch.tensor([0]), math.nan))
    with pytest.raises(ValueError, match="tell its 1 concepts apart"):
        label(activations, concept_matrix[:, :1], CONCEPTS[:1])
    values, ids = torch.zeros(3, 2), torch.zeros(3, 2, dtype=torch.long)
    with pytest.raises(ValueError, match=r"`top_ids` to have shape \(4, top\) but got \(3, 2\) and \(3, 2\)"):
        CLIPDissect().label("fc", activations, concept_matrix, CONCEPTS, values, ids)


def test_settings_are_checked():
    with pytest.raises(ValueError, match="`candidates` to be greater than 0"):
        CLIPDissect(candidates=0)
    with pytest.raises(ValueError, match="Expected a similarity or one of"):
        CLIPDissect("soft_wpni")
