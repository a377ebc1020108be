"""Metrics of how well a concept describes a neuron: what judges labels."""

from typing import Protocol, runtime_checkable

from torch import Tensor

from lightning_dissect.registry import Registry


@runtime_checkable
class NeuronMetric(Protocol):
    """Scores every neuron against every concept; a pure function of its inputs.

    Example:
        >>> from lightning_dissect.metrics import PearsonCorrelation
        >>> isinstance(PearsonCorrelation(), NeuronMetric)
        True

    """

    def score(self, activations: Tensor, concept_presence: Tensor) -> Tensor:
        """Score neurons against concepts, higher is better.

        Args:
            activations: Pooled activations, shape ``(images, neurons)``.
            concept_presence: Probability that a concept is in an image, shape ``(images, concepts)``.

        Returns:
            Scores, shape ``(neurons, concepts)``; NaN where undefined.

        """
        ...


METRICS: Registry[NeuronMetric] = Registry("metric")
