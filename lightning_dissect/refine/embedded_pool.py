"""Real images and any concept as an encoder sees them, in an order that the pool's has no part in."""

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import normalize

from lightning_dissect.encoders import EmbeddingCache, prompted_embeddings
from lightning_dissect.fingerprint import fingerprint
from lightning_dissect.probe import ConceptVocabulary
from lightning_dissect.refine.base import ImagePool, Purpose, Surroundings
from lightning_dissect.refine.kinds import Kinds

DECIMALS = 6
"""Cosines that differ by less are equal: how a matrix product is rounded depends on where in it a row stands."""


class EmbeddedPool:
    """The images of a pool, embedded once, and the concepts that one asks for.

    Encoders know what things are better than what superclasses they belong to. So a superclass is embedded half as what
    its name says and half as the mean of the words that are kinds of it.

    Args:
        pool: Real images.
        cache: Embeddings of images and texts.
        vocabulary: Concepts with the prompts that any other concept is put into too.
        lexicon: All words that are known, with what is above them; by default the vocabulary.

    Attributes:
        kinds: What is above and below a word.

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
    def __init__(
        self,
        pool: ImagePool,
        cache: EmbeddingCache,
        vocabulary: ConceptVocabulary,
        lexicon: ConceptVocabulary | None = None,
    ) -> None:
        self.pool = pool
        self.cache = cache
        self.vocabulary = vocabulary
        self.kinds = Kinds(lexicon or vocabulary)
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
        return cls(pool or surroundings.pool, surroundings.cache, surroundings.vocabulary, surroundings.lexicon)

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
        return self._with_kinds(prompted_embeddings(self.cache, alone.prompts)[0], concept)

    @cached_property
    @torch.inference_mode(mode=False)
    def named(self) -> Tensor:
        """Embeddings of all names of `kinds` in the first prompt, norm 1, shape ``(names, dimensions)``."""
        names = self.kinds.names
        return torch.stack([self._with_kinds(*own) for own in zip(self._in_one_prompt(names), names, strict=True)])

    @cached_property
    @torch.inference_mode(mode=False)
    def spreads(self) -> Tensor:
        """Standard deviation of the similarity of each of these names over the search half, shape ``(names,)``."""
        covariance = self.embeddings["search"].T.cov(correction=0)
        variances = ((self.named @ covariance) * self.named).sum(dim=1)
        return variances.clamp(min=torch.finfo(torch.float32).eps ** 2).sqrt()

    def _with_kinds(self, own: Tensor, name: str) -> Tensor:
        """Return the embedding of a name, given what the name alone says."""
        kinds = self.kinds.below(name)
        return normalize(own + normalize(self._in_one_prompt(kinds).mean(dim=0), dim=0), dim=0) if kinds else own

    def _in_one_prompt(self, names: Sequence[str]) -> Tensor:
        template = self.vocabulary.templates[0]
        return prompted_embeddings(self.cache, [[template.replace("{}", name) for name in names]])

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
        return fingerprint(ids, self.cache.origin, self.vocabulary.templates, self.kinds.fingerprint())


def _by_content(pool: ImagePool, rows: Tensor) -> Tensor:
    return rows[pool.content_ids[rows].argsort()]
