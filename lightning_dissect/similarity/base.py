"""Similarity between neurons and concepts: what chooses labels."""

import sys
from collections.abc import Callable, Iterator
from typing import Protocol, runtime_checkable

from torch import Tensor

from lightning_dissect.concept_matrix import ConceptMatrix
from lightning_dissect.registry import Registry
from lightning_dissect.similarity.best_concepts import BestConcepts


@runtime_checkable
class Similarity(Protocol):
    """Scores every neuron against every concept; a pure function of its inputs.

    Example:
        >>> import torch
        >>> class Dot:
        ...     def score(self, activations: Tensor, concept_matrix: Tensor) -> Tensor:
        ...         return activations.T @ concept_matrix
        >>> isinstance(Dot(), Similarity)
        True
        >>> Dot().score(torch.ones(9, 4), torch.ones(9, 2)).shape
        torch.Size([4, 2])

    """

    def score(self, activations: Tensor, concept_matrix: Tensor) -> Tensor:
        """Score neurons against concepts, higher is more similar.

        Args:
            activations: Pooled activations, shape ``(images, neurons)``.
            concept_matrix: Image-text similarities on the encoder's scale, shape ``(images, concepts)``.

        Returns:
            Scores, shape ``(neurons, concepts)``; NaN where undefined.

        """
        ...


def identity(values: Tensor) -> Tensor:
    """Return what one process alone knows: the values themselves."""
    return values


class Scorer(Protocol):
    """Scores layer after layer against one concept matrix, a block of concepts at a time.

    Example:
        >>> import torch
        >>> from lightning_dissect.similarity import Cosine
        >>> scorer = Cosine().prepared(torch.eye(5))
        >>> [(block, tuple(scores.shape)) for block, scores in scorer.blocks(torch.eye(5)[:, :2], width=3)]
        [(slice(0, 3, None), (2, 3)), (slice(3, 5, None), (2, 2))]

    """

    def blocks(
        self, activations: Tensor, width: int, over_processes: Callable[[Tensor], Tensor] = identity
    ) -> Iterator[tuple[slice, Tensor]]:
        """Yield consecutive ranges of concepts and their scores.

        The ranges depend only on the number of concepts and on ``width``, so that several processes with some of the
        neurons each, even with none, go in step.

        Args:
            activations: Pooled activations, shape ``(images, neurons)``.
            width: Concepts of a range; the last range may be shorter.
            over_processes: What a similarity calls that compares a neuron with all others, once per range: it gets
                logarithms of sums of exponentials over this process's neurons, shape ``(values,)``, float64, and
                returns the same over the neurons of all processes. Who calls it is a `DigestingScorer`.

        Yields:
            A range and its scores, shape ``(neurons, concepts of the range)``, float64; NaN for neurons that are
            constant or not finite. The next range may overwrite the tensor.

        Raises:
            ValueError:
                If the activations do not fit the concept matrix.

        """
        ...


@runtime_checkable
class DigestingScorer(Scorer, Protocol):
    """A scorer that compares a neuron with all others, but needs little of each.

    Digests of some neurons at a time, put one after the other, score as the activations of all would, which need not
    be in memory together.

    Example:
        >>> import torch
        >>> from lightning_dissect.similarity import SoftWPMI
        >>> scorer = SoftWPMI(top_k=3).prepared(torch.eye(5))
        >>> isinstance(scorer, DigestingScorer), scorer.digest(torch.arange(10.0).view(5, 2))
        (True, tensor([[4, 3, 2],
                [4, 3, 2]]))

    """

    def digest(self, activations: Tensor) -> Tensor:
        """Return all that scores depend on.

        Args:
            activations: Pooled activations, shape ``(images, neurons)``.

        Returns:
            One row per neuron, whatever other neurons there are, shape ``(neurons, values)``.

        Raises:
            ValueError:
                If the activations do not fit the concept matrix.

        """
        ...

    def digest_blocks(
        self, digests: Tensor, width: int, over_processes: Callable[[Tensor], Tensor] = identity
    ) -> Iterator[tuple[slice, Tensor]]:
        """Yield what `blocks` does for the activations of these digests.

        Args:
            digests: What `digest` returned for each neuron of this process, shape ``(neurons, values)``.
            width: See `blocks`.
            over_processes: See `blocks`.

        """
        ...


@runtime_checkable
class SearchingScorer(Scorer, Protocol):
    """A scorer that finds the best concepts of each neuron without scoring all pairs.

    Example:
        >>> import torch
        >>> from lightning_dissect.similarity import Cosine
        >>> isinstance(Cosine().prepared(torch.eye(5)), SearchingScorer)
        False

    """

    def best(self, activations: Tensor, count: int) -> BestConcepts:
        """Find the concepts that are the best of all that `blocks` scores.

        Args:
            activations: Pooled activations, shape ``(images, neurons)``.
            count: Concepts per neuron.

        Returns:
            The best concepts of each neuron; none for neurons that are constant or not finite.

        """
        ...


@runtime_checkable
class PreparableSimilarity(Similarity, Protocol):
    """A similarity that scores concepts in blocks, after work on the concept matrix that many layers share.

    Example:
        >>> from lightning_dissect.similarity import Cosine
        >>> isinstance(Cosine(), PreparableSimilarity)
        True

    """

    def prepared(self, concept_matrix: Tensor | ConceptMatrix) -> Scorer:
        """Do what depends on the concept matrix alone.

        Args:
            concept_matrix: Image-text similarities, shape ``(images, concepts)``. It must not change while the result
                is in use.

        Returns:
            What yields the blocks of ``score(activations, concept_matrix)``.

        """
        ...


def score_all(scorer: Scorer, activations: Tensor) -> Tensor:
    """Return the scores of all concepts.

    Args:
        scorer: A prepared similarity.
        activations: Pooled activations, shape ``(images, neurons)``.

    Returns:
        Shape ``(neurons, concepts)``, float64.

    Example:
        >>> import torch
        >>> from lightning_dissect.similarity import Cosine
        >>> score_all(Cosine().prepared(torch.eye(3)), torch.eye(3)).argmax(dim=1)
        tensor([0, 1, 2])

    """
    ((_, scores),) = scorer.blocks(activations, sys.maxsize)
    return scores


def find_best(
    scorer: Scorer,
    activations: Tensor,
    count: int,
    width: int,
    over_processes: Callable[[Tensor], Tensor] = identity,
) -> BestConcepts:
    """Return the best concepts of each neuron, without holding the scores.

    Args:
        scorer: A prepared similarity.
        activations: Pooled activations, shape ``(images, neurons)``.
        count: Concepts per neuron.
        width: Concepts that are scored at once.
        over_processes: See `Scorer.blocks`.

    Example:
        >>> import torch
        >>> from lightning_dissect.similarity import Cosine
        >>> find_best(Cosine().prepared(torch.eye(3)), torch.eye(3), count=1, width=2).concepts.tolist()
        [[0], [1], [2]]

    """
    if isinstance(scorer, SearchingScorer):
        return scorer.best(activations, count)
    best = BestConcepts(activations.shape[1], count)
    for block, scores in scorer.blocks(activations, width, over_processes):
        best.update(block.start, scores)
    return best


SIMILARITIES: Registry[Similarity] = Registry("similarity")
