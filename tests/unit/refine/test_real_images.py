import math

import numpy as np
import pytest
import torch

from lightning_dissect.encoders import EmbeddingCache
from lightning_dissect.label_refinement import ConceptTrial
from lightning_dissect.probe import ConceptVocabulary
from lightning_dissect.refine import ConceptBank, Surroundings
from lightning_dissect.refine.real_images import RealImages
from tests.helpers.word_world import SIDE, WORDS, Painter, Reader, evidence, pool, unit


class WordEncoder:
    """Sees the pixels of words."""

    temperature = 1.0

    def encode_images(self, images):
        return torch.nn.functional.normalize(evidence(images / 255) + 1e-3, dim=1)

    def encode_texts(self, texts):
        rows = [[float(word in text.split()) + 1e-3 for word in WORDS] for text in texts]
        return torch.nn.functional.normalize(torch.tensor(rows), dim=1)

    def fingerprint(self):
        return f"words {SIDE}"


@pytest.fixture
def real():
    def make(encoder=None, noise=0.1):
        some, painter = pool(), Painter()
        reader = Reader([unit("single", "ban"), unit("or", "ban", "rox"), unit("dead")], noise)
        bank = ConceptBank({"search": painter, "judging": painter}, reader, {"search": 5, "judging": 5}, some)
        cache = None if encoder is None else EmbeddingCache(encoder)
        return RealImages(bank, Surroundings(ConceptVocabulary(tuple(WORDS)), some, cache)), bank

    return make


def trials(**scores):
    return [ConceptTrial(1, "proposal", "scored", concept, score) for concept, score in scores.items()]


def test_a_neuron_follows_what_it_sees_and_no_narrower_concept(real):
    found, bank = real(WordEncoder())
    own, narrow, other = found.correlations("units", 0, ["ban", "ban dop", "rox"])
    assert own > narrow > other
    ids = sorted(bank.pool.content_ids[bank.pool.rows("search")].tolist())
    activations = bank.activations("units", ids)[:, 0].double().numpy()
    rows = {key: row for row, key in enumerate(bank.pool.content_ids.tolist())}
    images = WordEncoder().encode_images(bank.pool.images[[rows[key] for key in ids]])
    seen = (images @ WordEncoder().encode_texts(["ban"]).T).double().numpy()[:, 0]
    assert own == pytest.approx(np.corrcoef(activations, seen)[0, 1], abs=1e-5)


def test_a_dead_neuron_follows_nothing(real):
    found, _ = real(WordEncoder())
    assert math.isnan(found.correlations("units", 2, ["ban"])[0])
    assert found.senses("units", 2, trials(ban=1.0)) == ()


def test_both_senses_of_a_neuron_that_answers_to_two_words(real):
    found, _ = real(WordEncoder())
    senses = found.senses("units", 1, trials(ban=2.0, rox=1.9, dop=0.0, kin=-0.1))
    assert sorted(sense.concepts for sense in senses) == [("ban",), ("rox",)]
    assert [sense.concepts for sense in found.senses("units", 0, trials(ban=2.0, rox=0.1, dop=0.0))] == [("ban",)]


def test_without_an_encoder_there_is_nothing_to_say(real):
    found, _ = real()
    assert math.isnan(found.correlations("units", 0, ["ban"])[0])
    assert found.senses("units", 0, trials(ban=1.0)) == ()


def test_without_a_scored_concept_there_are_no_senses(real):
    found, _ = real(WordEncoder())
    assert found.senses("units", 0, [ConceptTrial(1, "proposal", "refused", "")]) == ()
