"""What the search for labels asks of others: concepts to try, and images of them."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from lightning_dissect.encoders import EmbeddingCache
from lightning_dissect.label_refinement import Outcome
from lightning_dissect.probe import ConceptVocabulary
from lightning_dissect.registry import Registry

Purpose = Literal["search", "judging"]


@dataclass(frozen=True)
class ScoredName:
    """A concept that was tried and how strongly the neuron answers to it.

    Args:
        concept: The concept.
        score: Mean activation on its images, in standard deviations of the control images and above their mean.

    """

    concept: str
    score: float


@dataclass(frozen=True)
class ProposalRequest:
    """What a proposer is told of a neuron.

    Args:
        scored: The best concepts so far, best first; never more than the loop's bank holds.
        tried: All concepts that were tried or named before, which must not come again.
        step: Step of the search, from 1.
        count: How many concepts are wanted; fewer will do, and more are not read.
        is_summary: Whether the best concepts are to be summed up in one, instead of going on searching.
        seed: Seed for proposers that draw; another one for each attempt.

    """

    scored: tuple[ScoredName, ...]
    tried: tuple[str, ...]
    step: int
    count: int = 1
    is_summary: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Proposal:
    """What a proposer answers.

    Args:
        concepts: The concepts, the likeliest first; none if ``outcome`` says why.
        answer: What it said beyond them, for the history.
        outcome: ``"scored"`` if there are concepts to score, ``"refused"`` or ``"unreadable"`` if not.

    """

    concepts: tuple[str, ...]
    answer: str = ""
    outcome: Outcome = "scored"


@runtime_checkable
class ConceptProposer(Protocol):
    """Says which concepts to try next.

    Example:
        >>> class Alphabet:
        ...     def propose(self, request):
        ...         left = [letter for letter in "abc" if letter not in request.tried]
        ...         return Proposal(tuple(left[: request.count]))
        ...     def fingerprint(self):
        ...         return "alphabet"
        >>> isinstance(Alphabet(), ConceptProposer)
        True
        >>> Alphabet().propose(ProposalRequest((ScoredName("a", 0.5),), ("a",), step=1, count=2)).concepts
        ('b', 'c')

    """

    def propose(self, request: ProposalRequest) -> Proposal:
        """Return concepts to try.

        Args:
            request: What is known of the neuron.

        Raises:
            OSError:
                If the proposer cannot be reached; the search then ends with what it has.

        """
        ...

    def fingerprint(self) -> str:
        """Return a key of all that answers depend on: equal keys and requests mean that an answer may be used again."""
        ...


class NoImageError(RuntimeError):
    """No image of a concept could be had."""


@runtime_checkable
class ImageGenerator(Protocol):
    """Makes, or finds, images of a concept.

    Images of one purpose are never those of the other, so that a label is not judged by what it was chosen by. The
    images of a concept depend on nothing but the concept, the purpose and the generator.

    Example:
        >>> class Grey:
        ...     def generate(self, concept, count, purpose):
        ...         return torch.full((count, 3, 8, 8), len(concept) + 100 * (purpose == "judging"), dtype=torch.uint8)
        ...     def fingerprint(self):
        ...         return "grey"
        >>> isinstance(Grey(), ImageGenerator)
        True

    """

    def generate(self, concept: str, count: int, purpose: Purpose) -> Tensor:
        """Return images of a concept.

        Args:
            concept: Any text.
            count: How many; fewer will do if there are no more, but at least one.
            purpose: What they are for.

        Returns:
            RGB images, shape ``(images, 3, height, width)``, uint8, on the CPU.

        Raises:
            NoImageError:
                If there is none.

        """
        ...

    def fingerprint(self) -> str:
        """Return a key of all that images depend on but concept, count and purpose."""
        ...


@dataclass(frozen=True, eq=False)
class ImagePool:
    """Real images, split for good into those that a search may use and those that judge its results.

    The first are control images of the search and the second of the judgement; both are what a `RetrievalGenerator`
    finds images of concepts in.

    Args:
        images: RGB images, shape ``(images, 3, height, width)``, uint8.
        content_ids: Id of each image's content, shape ``(images,)``, int64, distinct; see `content_ids` of
            `lightning_dissect.probe`.

    Raises:
        ValueError:
            If a shape is wrong, an id comes twice or a half has fewer than two images.

    Example:
        >>> from lightning_dissect.probe import content_ids
        >>> images = torch.arange(8, dtype=torch.uint8).view(8, 1, 1, 1).expand(8, 3, 2, 2)
        >>> pool = ImagePool(images, content_ids(images))
        >>> sorted([*pool.rows("search").tolist(), *pool.rows("judging").tolist()])
        [0, 1, 2, 3, 4, 5, 6, 7]

    """

    images: Tensor
    content_ids: Tensor

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.shape[1] != 3 or self.images.dtype != torch.uint8:
            raise ValueError(
                "Expected `images` to be uint8 of shape (images, 3, height, width) but got "
                f"{self.images.dtype} of shape {tuple(self.images.shape)}."
            )
        if self.content_ids.shape != (len(self.images),) or len(set(self.content_ids.tolist())) != len(self.images):
            raise ValueError(f"Expected `content_ids` to be {len(self.images)} distinct ids, one per image.")
        if len(self.images) < 4:
            raise ValueError(f"Expected at least 4 images for a search and its judgement but got {len(self.images)}.")

    def rows(self, purpose: Purpose) -> Tensor:
        """Return the rows of one half, ascending; every second image in the order of the ids.

        Args:
            purpose: What they are for.

        """
        order = self.content_ids.argsort()
        return order[0 if purpose == "search" else 1 :: 2].sort().values


@dataclass(frozen=True, eq=False)
class Surroundings:
    """What proposers and generators that need no model of their own work with.

    Args:
        vocabulary: The concepts that the labels were chosen from.
        pool: Real images.
        cache: Embeddings of images and texts, ``None`` if labels come from annotations.
        words: Concepts beyond the vocabulary, with what is above them, if there are any.

    """

    vocabulary: ConceptVocabulary
    pool: ImagePool
    cache: EmbeddingCache | None = None
    words: ConceptVocabulary | None = None

    @cached_property
    def lexicon(self) -> ConceptVocabulary:
        """All words, then the concepts, with what is above any of them, for the first prompt of the vocabulary."""
        own, words = self.vocabulary, self.words or self.vocabulary
        together = ConceptVocabulary.of([*words.concepts, *own.concepts], templates=own.templates[:1])
        return replace(together, hierarchy={**(own.hierarchy or {}), **(words.hierarchy or {})} or None)


@runtime_checkable
class NeedsSurroundings(Protocol):
    """A proposer or generator that has to be shown its surroundings before it is asked."""

    def enter(self, surroundings: Surroundings) -> None:
        """Look around.

        Args:
            surroundings: What there is.

        Raises:
            ValueError:
                If what it needs is missing.

        """
        ...


@runtime_checkable
class Releasable(Protocol):
    """What holds memory that it can do without for a while."""

    def release(self) -> None:
        """Give the memory back; what was in it is loaded again when it is needed."""
        ...


PROPOSERS: Registry[ConceptProposer] = Registry("concept proposer")
GENERATORS: Registry[ImageGenerator] = Registry("image generator")
