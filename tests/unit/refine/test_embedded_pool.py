import pytest
import torch
from torch.nn.functional import normalize

from lightning_dissect.encoders import EmbeddingCache
from lightning_dissect.probe import ConceptVocabulary
from lightning_dissect.refine.base import Surroundings
from lightning_dissect.refine.embedded_pool import EmbeddedPool
from tests.helpers.word_world import WORDS, WordEncoder, pool

ENCODER = WordEncoder()


def embedded(lexicon=None, templates=("{}",)):
    vocabulary = ConceptVocabulary(("ban", "dop", "kin"), templates=templates)
    return EmbeddedPool(pool(20), EmbeddingCache(ENCODER), vocabulary, lexicon)


def test_a_superclass_is_half_its_name_and_half_its_kinds():
    kinds = ("ban", "bap", "bar")
    lexicon = ConceptVocabulary((*kinds, *WORDS[10:20]), hierarchy=dict.fromkeys(kinds, ("dop",)))
    found = embedded(lexicon)
    of_kinds = normalize(ENCODER.encode_texts(kinds).mean(dim=0), dim=0)
    expected = normalize(ENCODER.encode_texts(["dop"])[0] + of_kinds, dim=0)
    assert torch.allclose(found.concept("dop"), expected)
    assert torch.allclose(found.concept("ban"), ENCODER.encode_texts(["ban"])[0])
    assert torch.allclose(embedded().concept("dop"), ENCODER.encode_texts(["dop"])[0])
    assert torch.allclose(found.named[found.kinds.names.index("dop")], expected)
    assert torch.allclose(found.named[0], ENCODER.encode_texts(["ban"])[0])


def test_concepts_are_put_into_all_prompts_and_words_into_the_first():
    found = embedded(templates=("{}", "{} dop"))
    both = ENCODER.encode_texts(["ban", "ban dop"])
    assert torch.allclose(found.concept("ban"), normalize(both.sum(dim=0), dim=0))
    assert torch.allclose(found.named[0], both[0])


def test_the_key_depends_on_what_is_below_a_superclass():
    words = ConceptVocabulary(("ban", "bap", "rox", "lun"), hierarchy={"ban": ("ba",), "bap": ("ba",)})
    assert embedded().fingerprint() != embedded(words).fingerprint()
    assert embedded(words).fingerprint() == embedded(words).fingerprint()


def test_what_needs_an_encoder_says_so():
    around = Surroundings(ConceptVocabulary(("ban",)), pool(20))
    with pytest.raises(ValueError, match="Retrieval of images ranks images by an encoder"):
        EmbeddedPool.of(around, None, "Retrieval of images")


def test_the_lexicon_holds_words_and_vocabulary_with_both_hierarchies():
    own = ConceptVocabulary(("ban", "dop"), templates=("a {}", "the {}"), hierarchy={"ban": ("ba",)})
    words = ConceptVocabulary(("kin", "Ban"), hierarchy={"kin": ("ki",)})
    lexicon = Surroundings(own, pool(20), None, words).lexicon
    assert lexicon.concepts == ("kin", "Ban", "dop")
    assert lexicon.templates == ("a {}",)
    assert lexicon.hierarchy == {"ban": ("ba",), "kin": ("ki",)}
    assert Surroundings(ConceptVocabulary(("ban",)), pool(20)).lexicon.hierarchy is None
