import pytest

from lightning_dissect.encoders import EmbeddingCache
from lightning_dissect.probe import ConceptVocabulary
from lightning_dissect.refine.base import Surroundings
from tests.helpers.colour_patches import COLOURS, ColourEncoder, patched_images, pool_of


@pytest.fixture
def surroundings():
    images, _ = patched_images(240)
    vocabulary = ConceptVocabulary(tuple(COLOURS), templates=("a {} patch", "{}"))
    return Surroundings(vocabulary, pool_of(images), EmbeddingCache(ColourEncoder()))
