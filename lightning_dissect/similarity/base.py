"""Similarity between neurons and concepts: what chooses labels."""

from typing import Protocol, runtime_checkable

from torch import Tensor

from lightning_dissect.registry import Registry


@runtime_checkable
class Similarity(Protocol):
    """Scores every neuron against every concept; a pure function of its inputs."""

    def score(self, activations: Tensor, concept_matrix: Tensor) -> Tensor:
        """Score neurons against concepts, higher is more similar.

        Args:
            activations: Pooled activations, shape ``(images, neurons)``.
            concept_matrix: Image-text similarities on the encoder's scale, shape ``(images, concepts)``.

        Returns:
            Scores, shape ``(neurons, concepts)``; NaN where undefined.

        """
        ...


SIMILARITIES: Registry[Similarity] = Registry("similarity")
