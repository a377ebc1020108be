"""Metrics of how well a concept describes a neuron: what judges labels."""

from typing import ClassVar, Protocol, runtime_checkable

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


class MetricTraits:
    """What reports must know of a metric to sort by it and to warn of it; a metric of one's own may state it too.

    The sanity checks are those of NeuronEval: a concept that describes a neuron perfectly loses half of its images, or
    gets as many wrong ones. A metric passes if its score falls in more than 90 % of the cases, in theory and in
    experiment.

    Example:
        >>> METRICS.resolve("recall").passes_extra_labels
        False

    References:
        Oikarinen, Yan and Weng, Evaluating Neuron Explanations, ICML 2025. https://arxiv.org/abs/2506.05774

    """

    higher_is_better: ClassVar[bool] = True
    """Direction of the score."""

    score_range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    """Lowest and highest possible score."""

    passes_missing_labels: ClassVar[bool]
    """Whether the score falls when labels are missing, as published."""

    passes_extra_labels: ClassVar[bool]
    """Whether the score falls when there are extra labels, as published."""

    verdict_note: ClassVar[str] = ""
    """What the published verdict hides or where it does not hold for this form of the metric; empty if nowhere."""


METRICS: Registry[NeuronMetric] = Registry("metric")
