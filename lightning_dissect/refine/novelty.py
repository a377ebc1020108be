"""Whether a label says something that the vocabulary does not."""

import math
from functools import lru_cache
from weakref import WeakKeyDictionary

from torch import Tensor

from lightning_dissect.encoders import EmbeddingCache, prompted_embeddings
from lightning_dissect.label_refinement import Novelty
from lightning_dissect.probe import ConceptVocabulary
from lightning_dissect.refine.concept_names import KnownConcepts

_LAST: WeakKeyDictionary[EmbeddingCache, tuple[str, ConceptVocabulary, Tensor]] = WeakKeyDictionary()
"""The encoder, vocabulary and embeddings of its concepts that labels were last compared with."""


def novelty(label: str, vocabulary: ConceptVocabulary, cache: EmbeddingCache | None = None) -> Novelty:
    """Compare a label with the concepts of a vocabulary.

    Counting labels that are not in the list to the letter takes "cats" and "cat variant" for discoveries. A distance
    near 0 says that a label which is new by its words may still be a synonym.

    Args:
        label: The label.
        vocabulary: The concepts, and the templates in which texts are embedded.
        cache: Embeddings of texts; without it there is no distance.

    Raises:
        ValueError:
            If the label is blank.

    Example:
        >>> novelty("two cats", ConceptVocabulary(("cat", "dog")))
        Novelty(by_string=True, by_lemma=True, distance=nan)
        >>> novelty("Cats", ConceptVocabulary(("cat", "dog")))
        Novelty(by_string=True, by_lemma=False, distance=nan)

    """
    if not label.strip():
        raise ValueError(f"Expected `label` to be a text but got {label!r}, which is blank.")
    texts, known = _names(vocabulary.concepts)
    return Novelty(
        by_string=" ".join(label.split()).casefold() not in texts,
        by_lemma=label not in known,
        distance=math.nan if cache is None else _distance(label, vocabulary, cache),
    )


@lru_cache(maxsize=4)
def _names(concepts: tuple[str, ...]) -> tuple[frozenset[str], KnownConcepts]:
    """Return concepts as texts and as concepts, to compare with."""
    return frozenset(concept.casefold() for concept in concepts), KnownConcepts(concepts)


def _distance(label: str, vocabulary: ConceptVocabulary, cache: EmbeddingCache) -> float:
    """Return 1 minus the largest cosine; labels that are compared in turn share the work on the concepts."""
    last = _LAST.get(cache)
    if last is None or last[:2] != (cache.origin, vocabulary):
        last = _LAST[cache] = (cache.origin, vocabulary, prompted_embeddings(cache, vocabulary.prompts))
    prompts = ConceptVocabulary((" ".join(label.split()),), vocabulary.templates).prompts
    nearest = last[2] @ prompted_embeddings(cache, prompts).T
    return 1 - float(nearest.max().clamp(max=1))
