import math

import pytest
import torch

from lightning_dissect.encoders import EmbeddingCache
from lightning_dissect.probe import ConceptVocabulary
from lightning_dissect.refine.novelty import novelty


class Angles:
    """Embeds a text that ends in a number at that angle in degrees, and "near" a little further."""

    temperature = 1.0

    def encode_images(self, images):
        return torch.ones(len(images), 2)

    def encode_texts(self, texts):
        angles = torch.tensor([float(text.split()[-1]) + 10 * ("near" in text) for text in texts]).deg2rad()
        return torch.stack([angles.cos(), angles.sin()], dim=1)

    def fingerprint(self):
        return "angles"


VOCABULARY = ConceptVocabulary(("Dog", "Polar Bear", "bus"))


@pytest.mark.parametrize(
    ("label", "by_string", "by_lemma"),
    [
        ("dog", False, False),
        ("POLAR  bear", False, False),
        ("dogs", True, False),
        ("polar-bear variant", True, False),
        ("buses", True, False),
        ("bu", True, True),
        ("brown bear", True, True),
    ],
)
def test_words_say_whether_a_label_is_new(label, by_string, by_lemma):
    found = novelty(label, VOCABULARY)
    assert (found.by_string, found.by_lemma) == (by_string, by_lemma)
    assert math.isnan(found.distance)


def test_the_distance_is_that_of_the_nearest_concept_over_the_mean_of_its_prompts():
    vocabulary = ConceptVocabulary(("at 0", "at 90"), templates=("{}", "near {}"))
    cache = EmbeddingCache(Angles())
    assert novelty("at 30", vocabulary, cache).distance == pytest.approx(1 - math.cos(math.radians(30)), abs=1e-6)
    assert novelty("at 90", vocabulary, cache).distance == pytest.approx(0, abs=1e-6)
    plain = ConceptVocabulary(("at 0", "at 90"))
    assert novelty("at 30 near 80", plain, cache).distance == pytest.approx(0, abs=1e-6)


def test_another_vocabulary_or_encoder_is_not_mistaken_for_the_last():
    cache = EmbeddingCache(Angles())
    far, near = ConceptVocabulary(("at 90",)), ConceptVocabulary(("at 10",))
    found = [novelty("at 0", vocabulary, cache).distance for vocabulary in (far, near, far)]
    assert found == pytest.approx([1, 1 - math.cos(math.radians(10)), 1], abs=1e-6)
    assert novelty("at 0", near, EmbeddingCache(Angles())).distance == pytest.approx(found[1])


def test_a_distance_is_not_negative():
    vocabulary = ConceptVocabulary(tuple(f"at {angle}" for angle in range(0, 360, 7)))
    found = [novelty(concept, vocabulary, EmbeddingCache(Angles())) for concept in vocabulary.concepts]
    assert min(each.distance for each in found) >= 0


@pytest.mark.parametrize("label", ["", " "])
def test_a_blank_label_is_refused(label):
    with pytest.raises(ValueError, match="which is blank"):
        novelty(label, VOCABULARY)
