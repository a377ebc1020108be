import pytest

from lightning_dissect.encoders import EmbeddingCache
from lightning_dissect.label_refinement import ConceptTrial
from lightning_dissect.probe import ConceptVocabulary
from lightning_dissect.refine import ConceptBank, Surroundings
from lightning_dissect.refine.real_images import RealImages
from tests.helpers.word_world import WORDS, Painter, Reader, WordEncoder, pool, unit

UNITS = [unit("single", "ban"), unit("or", "ban", "rox"), unit("dead"), unit("or", "ban", "bap"), unit("random")]
SOME = ("ban", "bap", *WORDS[6:])
ABOVE = ConceptVocabulary(SOME, hierarchy={word: (word[:2],) for word in SOME})


@pytest.fixture
def real():
    def make(encoder=None, vocabulary=WORDS, words=None):
        some, painter = pool(), Painter()
        bank = ConceptBank(
            {"search": painter, "judging": painter}, Reader(UNITS, 0.1), {"search": 5, "judging": 5}, some
        )
        cache = None if encoder is None else EmbeddingCache(encoder)
        return RealImages(bank, Surroundings(ConceptVocabulary(tuple(vocabulary)), some, cache, words))

    return make


def trials(**scores):
    return [ConceptTrial(1, "proposal", "scored", concept, score) for concept, score in scores.items()]


def test_a_neuron_is_what_it_follows_and_nothing_narrower(real):
    assert real(WordEncoder()).answer("units", 0, ["ban dop", "rox", "ban"]) == "ban"


def test_of_what_is_joined_the_part_that_activates_is_the_answer(real):
    found = real(WordEncoder())
    assert found.answer("units", 0, ["ban and rox"]) == "ban"
    assert found.answer("units", 1, ["ban", "rox", "ban and rox"]) == "ban and rox"


@pytest.mark.parametrize("vocabulary", [("dop",), SOME])
def test_what_takes_in_all_that_a_neuron_sees_is_its_answer(real, vocabulary):
    found = real(WordEncoder(), vocabulary, ABOVE)
    assert found.answer("units", 3, ["ban"]) == "ba"
    assert found.answer("units", 0, ["ban"]) == "ban"
    assert real(WordEncoder(), vocabulary).answer("units", 3, ["ban"]) == "ban"


def test_without_an_encoder_the_answer_has_fewest_words(real):
    assert real().answer("units", 0, ["ban dop", "rox", "ban"]) == "rox"


def test_what_is_not_explained_yet_is_looked_for(real):
    found = real(WordEncoder())
    assert found.unexplained("units", 1, trials(ban=2.0, dop=0.1)) == "rox"
    assert found.unexplained("units", 1, trials(rox=2.0, dop=0.1)) == "ban"
    assert found.unexplained("units", 1, trials(ban=2.0, rox=1.9)) is None
    assert found.unexplained("units", 0, trials(ban=2.0)) is None


def test_what_was_tried_is_not_looked_for_again(real):
    assert real(WordEncoder()).unexplained("units", 1, trials(ban=2.0, Rox=0.1)) is None


def test_words_beyond_the_vocabulary_and_superclasses_are_looked_for_too(real):
    found = real(WordEncoder(), ("dop",), ConceptVocabulary(tuple(WORDS)))
    assert found.unexplained("units", 1, trials(ban=2.0)) == "rox"
    assert real(WordEncoder(), ("dop",)).unexplained("units", 1, trials(ban=2.0)) is None
    assert real(WordEncoder(), ("dop",), ABOVE).unexplained("units", 3, trials(kin=0.1)) == "ba"


@pytest.mark.parametrize("place", [2, 4])
def test_neurons_that_see_nothing_leave_nothing_unexplained(real, place):
    assert real(WordEncoder()).unexplained("units", place, trials(ban=0.5)) is None


def test_without_a_concept_that_activates_nothing_is_unexplained(real):
    found = real(WordEncoder())
    assert found.unexplained("units", 1, trials(dop=-0.1)) is None
    assert found.unexplained("units", 1, []) is None
    assert real().unexplained("units", 1, trials(ban=2.0)) is None


def test_too_few_images_say_nothing(real, monkeypatch):
    monkeypatch.setattr("lightning_dissect.refine.real_images.LEAST_IMAGES", 1000)
    found = real(WordEncoder())
    assert found.unexplained("units", 1, trials(ban=2.0)) is None
    assert len(found.senses("units", 1, trials(ban=2.0, rox=1.9))) == 2


def test_a_dead_neuron_has_no_senses(real):
    assert real(WordEncoder()).senses("units", 2, trials(ban=1.0)) == ()


def test_both_senses_of_a_neuron_that_answers_to_two_words(real):
    found = real(WordEncoder())
    senses = found.senses("units", 1, trials(ban=2.0, rox=1.9, dop=0.0, kin=-0.1))
    assert sorted(sense.concepts for sense in senses) == [("ban",), ("rox",)]
    assert [sense.concepts for sense in found.senses("units", 0, trials(ban=2.0, rox=0.1, dop=0.0))] == [("ban",)]


def test_a_sense_is_told_by_what_takes_in_all_of_it(real):
    found = real(WordEncoder(), SOME, ABOVE)
    assert [sense.concepts for sense in found.senses("units", 3, trials(ban=2.0, dop=0.0))] == [("ba", "ban")]
    assert [sense.concepts for sense in found.senses("units", 0, trials(ban=2.0, dop=0.0))] == [("ban",)]


def test_without_an_encoder_there_are_no_senses(real):
    assert real().senses("units", 0, trials(ban=1.0)) == ()


def test_without_a_scored_concept_there_are_no_senses(real):
    assert real(WordEncoder()).senses("units", 0, [ConceptTrial(1, "proposal", "refused", "")]) == ()
