import pytest
import torch

from lightning_dissect.encoders import EmbeddingCache
from lightning_dissect.labelling import AnnotatedConcepts, EncodedConcepts
from lightning_dissect.probe import ConceptVocabulary


class Letters:
    """Embeds an image by its colour and a text by how often it holds the letters r, g and b."""

    temperature = 2.5

    def encode_images(self, images):
        return torch.nn.functional.normalize(images.float().mean(dim=(2, 3)) + 1e-6, dim=-1)

    def encode_texts(self, texts):
        counts = torch.tensor([[text.count(letter) for letter in "rgb"] for text in texts]).float()
        return torch.nn.functional.normalize(counts, dim=-1)

    def fingerprint(self):
        return "letters"


IMAGES = torch.zeros(2, 3, 2, 2, dtype=torch.uint8)
IMAGES[0, 0] = 255
IMAGES[1, 2] = 255


def test_the_matrix_is_temperature_times_cosine():
    source = EncodedConcepts(ConceptVocabulary(("r", "g", "b", "rb")), EmbeddingCache(Letters()))
    source.check()
    rows = source.rows(IMAGES, torch.tensor([5, 6]), None)
    half = 0.5**0.5
    expected = 2.5 * torch.tensor([[1, 0, 0, half], [0, 0, 1, half]])
    torch.testing.assert_close(source.matrix(rows), expected, atol=1e-4, rtol=0)


class LoudLetters(Letters):
    """Forgets to bring its embeddings to norm 1."""

    def encode_images(self, images):
        return 3 * super().encode_images(images) * torch.arange(1, len(images) + 1)[:, None]

    def encode_texts(self, texts):
        return super().encode_texts(texts) * torch.arange(1, len(texts) + 1)[:, None]


def test_the_norm_of_embeddings_does_not_count():
    vocabulary = ConceptVocabulary(("r", "g", "b", "rb"), templates=("{}", "b{}"))
    sources = [EncodedConcepts(vocabulary, EmbeddingCache(encoder)) for encoder in (Letters(), LoudLetters())]
    plain, loud = (source.matrix(source.rows(IMAGES, torch.tensor([5, 6]), None)) for source in sources)
    torch.testing.assert_close(loud, plain)


def test_several_prompts_of_a_concept_are_averaged():
    vocabulary = ConceptVocabulary(("r", "g"), templates=("{}", "b{}"))
    source = EncodedConcepts(vocabulary, EmbeddingCache(Letters()))
    mean = torch.tensor([1 + 0.5**0.5, 0, 0.5**0.5])
    torch.testing.assert_close(source.concept_embeddings()[0], mean / mean.norm())


def test_embeddings_are_kept_where_the_cache_keeps_them(tmp_path):
    source = EncodedConcepts(ConceptVocabulary(("r", "g")), EmbeddingCache(Letters(), tmp_path))
    source.matrix(source.rows(IMAGES, torch.tensor([5, 6]), None))
    assert not list(tmp_path.rglob("*.safetensors"))
    source.flush()
    assert len(list(tmp_path.rglob("*.safetensors"))) == 2


def test_annotations_are_the_matrix():
    source = AnnotatedConcepts(ConceptVocabulary(("cat", "dog")))
    source.check()
    rows = source.rows(IMAGES, torch.tensor([5, 6]), torch.tensor([1, 0]))
    assert source.matrix(rows).tolist() == [[0, 1], [1, 0]]
    source.flush()


def test_missing_annotations_name_the_remedy():
    source = AnnotatedConcepts(ConceptVocabulary(("cat", "dog")))
    with pytest.raises(ValueError, match="target_fn"):
        source.rows(IMAGES, torch.tensor([5, 6]), None)
