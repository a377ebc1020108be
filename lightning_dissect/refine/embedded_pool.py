"""Real images and any concept as an encoder sees them, in an order that the pool's has no part in."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from lightning_dissect.encoders import EmbeddingCache, prompted_embeddings
from lightning_dissect.fingerprint import fingerprint
from lightning_dissect.probe import ConceptVocabulary
from lightning_dissect.refine.base import ImagePool, Purpose, Surroundings

DECIMALS = 6
"""Cosines that differ by less are equal: how a matrix product is rounded depends on where in it a row stands."""


class EmbeddedPool:
    """The images of a pool, embedded once, and the concepts that one asks for.

    Args:
        pool: Real images.
        cache: Embeddings of images and texts.
        vocabulary: Concepts with the prompts that any other concept is put into too.

    Example:
        >>> from lightning_dissect.probe import content_ids
        >>> class Colours:
        ...     temperature = 1.0
        ...     def encode_images(self, images):
        ...         return normalize(images.float().mean(dim=(2, 3)), dim=1)
        ...     def encode_texts(self, texts):
        ...         return torch.eye(3)[[["red", "green", "blue"].index(text) for text in texts]]
        ...     def fingerprint(self):
        ...         return "colours"
        >>> images = torch.randint(256, (8, 3, 4, 4), generator=torch.Generator().manual_seed(0)).byte()
        >>> vocabulary = ConceptVocabulary(("red", "green"))
        >>> embedded = EmbeddedPool(ImagePool(images, content_ids(images)), EmbeddingCache(Colours()), vocabulary)
        >>> rows = embedded.rows["judging"]
        >>> rows.shape, embedded.best("blue", "judging", 2).shape
        (torch.Size([4]), torch.Size([2]))

    """

    @torch.inference_mode(mode=False)
    def __init__(self, pool: ImagePool, cache: EmbeddingCache, vocabulary: ConceptVocabulary) -> None:
        self.pool = pool
        self.cache = cache
        self.vocabulary = vocabulary
        purposes: tuple[Purpose, ...] = ("search", "judging")
        self.rows = {purpose: _by_content(pool, pool.rows(purpose)) for purpose in purposes}
        """Rows of each half in the order of the content ids."""
        cache.update_images(pool.images, pool.content_ids)
        self.embeddings = {
            purpose: normalize(cache.image_embeddings(pool.content_ids[rows]), dim=-1)
            for purpose, rows in self.rows.items()
        }
        """Embeddings of these rows, norm 1, each half of shape ``(images, dimensions)``."""

    @classmethod
    def of(cls, surroundings: Surroundings, pool: ImagePool | None, purpose: str) -> "EmbeddedPool":
        """Return the pool of the surroundings, or another one, in the space of the surroundings' encoder.

        Args:
            surroundings: Where encoder and prompts come from.
            pool: Images to take instead of those of the surroundings.
            purpose: What needs the encoder, as the subject of a sentence.

        Raises:
            ValueError:
                If there is no encoder.

        """
        if surroundings.cache is None:
            raise ValueError(
                f"{purpose} ranks images by an encoder. Expected `encoder` to be one but got annotations; give an "
                "`encoder`, or images made by a model: 'diffusion:MODEL'."
            )
        return cls(pool or surroundings.pool, surroundings.cache, surroundings.vocabulary)

    @torch.inference_mode(mode=False)
    def concept(self, concept: str) -> Tensor:
        """Return the embedding of a concept, norm 1, shape ``(dimensions,)``.

        Args:
            concept: Any text but white space alone.

        Raises:
            ValueError:
                If there is nothing but white space.

        """
        alone = ConceptVocabulary.of([concept], templates=self.vocabulary.templates)
        return prompted_embeddings(self.cache, alone.prompts)[0]

    def similarities(self, concept: Tensor, purpose: Purpose) -> Tensor:
        """Return the cosine of each image with a concept, in the order of `rows`, shape ``(images,)``.

        Args:
            concept: What `concept` returns.
            purpose: Which half.

        """
        return (self.embeddings[purpose] @ concept).round(decimals=DECIMALS)

    def best(self, concept: str, purpose: Purpose, count: int) -> Tensor:
        """Return the rows of the pool that match a concept best, best first, ties by content id.

        Args:
            concept: See `concept`.
            purpose: Which half.
            count: How many; all of the half if it has fewer.

        """
        order = self.similarities(self.concept(concept), purpose).argsort(descending=True, stable=True)
        return self.rows[purpose][order[:count]]

    def fingerprint(self) -> str:
        """Return a key of images, encoder and prompts."""
        ids = self.pool.content_ids.sort().values
        return fingerprint(ids, self.cache.origin, self.vocabulary.templates)


def _by_content(pool: ImagePool, rows: Tensor) -> Tensor:
    return rows[pool.content_ids[rows].argsort()]
