"""Similarity between neurons and concepts: what chooses labels."""

from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeAlias, runtime_checkable

from torch import Tensor

from lightning_dissect.registry import Registry


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


Scorer: TypeAlias = Callable[[Tensor], Tensor]
"""From activations, shape ``(images, neurons)``, to scores, shape ``(neurons, concepts)``, for one concept matrix."""


@runtime_checkable
class PreparableSimilarity(Similarity, Protocol):
    """A similarity that has work to do on the concept matrix alone, which many layers can share.

    Example:
        >>> from lightning_dissect.similarity import Cosine, SoftWPMI
        >>> isinstance(SoftWPMI(), PreparableSimilarity), isinstance(Cosine(), PreparableSimilarity)
        (True, False)

    """

    def prepared(self, concept_matrix: Tensor) -> Scorer:
        """Do what depends on the concept matrix alone.

        Args:
            concept_matrix: Image-text similarities, shape ``(images, concepts)``. It must not change while the result
                is in use.

        Returns:
            A function with ``prepared(concept_matrix)(activations) == score(activations, concept_matrix)``.

        """
        ...


def prepare(similarity: Similarity, concept_matrix: Tensor) -> Scorer:
    """Return the function that scores activations against one concept matrix, ready for many layers or epochs.

    Args:
        similarity: Any similarity, whether it can be prepared or not.
        concept_matrix: Image-text similarities, shape ``(images, concepts)``.

    Returns:
        From activations to scores.

    Example:
        >>> import torch
        >>> from lightning_dissect.similarity import Cosine
        >>> prepare(Cosine(), torch.eye(3))(torch.eye(3)).argmax(dim=1)
        tensor([0, 1, 2])

    """
    if isinstance(similarity, PreparableSimilarity):
        return similarity.prepared(concept_matrix)
    return partial(similarity.score, concept_matrix=concept_matrix)


SIMILARITIES: Registry[Similarity] = Registry("similarity")
