r"""Metrics of the overlap of a neuron's active images with a concept's images.

With :math:`b` the images that activate the neuron and :math:`d` those in which the concept is, the neuron is the truth
and the explanation the prediction: :math:`TP = \sum b d`, :math:`P = \sum b`, :math:`Q = \sum d` of :math:`N` images.
A neuron that no image activates is undefined in all of them.

Source: Oikarinen, Yan and Weng, Evaluating Neuron Explanations, ICML 2025. https://arxiv.org/abs/2506.05774
"""

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_dissect.metrics.base import METRICS
from lightning_dissect.metrics.binarise import active_rows, check_alpha, present_rows
from lightning_dissect.metrics.pairwise import BilinearMetric, PairSums


@dataclass(frozen=True)
class OverlapMetric(BilinearMetric):
    """A formula of four counts: active images, images with the concept, images with both, all images.

    Args:
        alpha: Share of the images that count as active, see `binarise`; ``None`` if activations are binary already.
        max_bytes: See `PairwiseMetric`.

    Raises:
        ValueError:
            If ``alpha`` is not between 0 and 1.

    """

    alpha: float | None = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        check_alpha(self.alpha)

    def _neuron_rows(self, rows: Tensor) -> Tensor:
        return active_rows(rows, self.alpha).to(torch.float64)

    def _concept_rows(self, rows: Tensor) -> Tensor:
        return present_rows(rows).to(torch.float64)

    def _formula(self, sums: PairSums) -> Tensor:
        return self._of_counts(sums).where(sums.neuron > 0, torch.nan)

    @abstractmethod
    def _of_counts(self, counts: PairSums) -> Tensor:
        """Return scores from counts: images with both, active images, images with the concept, images."""


@METRICS.register("recall")
@dataclass(frozen=True)
class Recall(OverlapMetric):
    r"""Recall: the share of the neuron's active images that have the concept, :math:`TP / P`.

    Blind to images that have the concept and do not activate the neuron, so the most general concept wins.

    Args:
        alpha: See `OverlapMetric`.
        max_bytes: See `PairwiseMetric`.

    Example:
        >>> a, c = torch.tensor([[1.0], [1.0], [0.0], [0.0]]), torch.tensor([[1.0], [0.0], [0.0], [0.0]])
        >>> Recall(alpha=None).score(a, c).item()
        0.5

    """

    passes_missing_labels = True
    passes_extra_labels = False

    def _of_counts(self, counts: PairSums) -> Tensor:
        return counts.product / counts.neuron


@METRICS.register("precision")
@dataclass(frozen=True)
class Precision(OverlapMetric):
    r"""Precision: the share of the concept's images that activate the neuron, :math:`TP / Q`.

    Blind to active images without the concept, so the most special concept wins. A concept that is in no image is
    undefined.

    Args:
        alpha: See `OverlapMetric`.
        max_bytes: See `PairwiseMetric`.

    Example:
        >>> a, c = torch.tensor([[1.0], [1.0], [0.0], [0.0]]), torch.tensor([[1.0], [0.0], [0.0], [0.0]])
        >>> Precision(alpha=None).score(a, c).item()
        1.0

    """

    passes_missing_labels = False
    passes_extra_labels = True

    def _of_counts(self, counts: PairSums) -> Tensor:
        return counts.product / counts.concept


@METRICS.register("f1")
@dataclass(frozen=True)
class F1(OverlapMetric):
    r"""F1: the harmonic mean of precision and recall, :math:`2 TP / (P + Q)`.

    It orders explanations as `IoU` does: :math:`F_1 = 2 \, IoU / (1 + IoU)`.

    Args:
        alpha: See `OverlapMetric`.
        max_bytes: See `PairwiseMetric`.

    Example:
        >>> a, c = torch.tensor([[1.0], [1.0], [0.0], [0.0]]), torch.tensor([[1.0], [0.0], [0.0], [0.0]])
        >>> F1(alpha=None).score(a, c).item()
        0.6666666666666666

    """

    passes_missing_labels = True
    passes_extra_labels = True

    def _of_counts(self, counts: PairSums) -> Tensor:
        return 2 * counts.product / (counts.neuron + counts.concept)


@METRICS.register("iou")
@dataclass(frozen=True)
class IoU(OverlapMetric):
    r"""Intersection over union of active images and images with the concept, :math:`TP / (P + Q - TP)`.

    Args:
        alpha: See `OverlapMetric`.
        max_bytes: See `PairwiseMetric`.

    Example:
        >>> a, c = torch.tensor([[1.0], [1.0], [0.0], [0.0]]), torch.tensor([[1.0], [0.0], [0.0], [0.0]])
        >>> IoU(alpha=None).score(a, c).item()
        0.5

    """

    passes_missing_labels = True
    passes_extra_labels = True

    def _of_counts(self, counts: PairSums) -> Tensor:
        return counts.product / (counts.neuron + counts.concept - counts.product)


@METRICS.register("accuracy")
@dataclass(frozen=True)
class Accuracy(OverlapMetric):
    r"""Accuracy: the share of all images on which neuron and concept agree, :math:`(TP + TN) / N`.

    It saturates where both are rare: a concept that is in no image scores :math:`1 - P / N`.

    Args:
        alpha: See `OverlapMetric`.
        max_bytes: See `PairwiseMetric`.

    Example:
        >>> a, c = torch.tensor([[1.0], [1.0], [0.0], [0.0]]), torch.tensor([[1.0], [0.0], [0.0], [0.0]])
        >>> Accuracy(alpha=None).score(a, c).item()
        0.75

    """

    passes_missing_labels = False
    passes_extra_labels = False

    def _of_counts(self, counts: PairSums) -> Tensor:
        return 1 - (counts.neuron + counts.concept - 2 * counts.product) / counts.images


@METRICS.register("balanced_accuracy")
@dataclass(frozen=True)
class BalancedAccuracy(OverlapMetric):
    r"""Balanced accuracy: the mean of the rates on active and on inactive images.

    .. math::
        \frac{1}{2} \left( \frac{TP}{P} + \frac{TN}{N - P} \right)

    For a binary concept it equals `AUC`.

    Args:
        alpha: See `OverlapMetric`.
        max_bytes: See `PairwiseMetric`.

    Example:
        >>> a, c = torch.tensor([[1.0], [1.0], [0.0], [0.0]]), torch.tensor([[1.0], [0.0], [0.0], [0.0]])
        >>> BalancedAccuracy(alpha=None).score(a, c).item()
        0.75

    """

    passes_missing_labels = True
    passes_extra_labels = False

    def _of_counts(self, counts: PairSums) -> Tensor:
        return _balanced(counts.product, counts.neuron, counts.concept, counts.images)


@METRICS.register("inverse_balanced_accuracy")
@dataclass(frozen=True)
class InverseBalancedAccuracy(OverlapMetric):
    r"""Balanced accuracy with the roles exchanged: the concept is the truth, the neuron the prediction.

    .. math::
        \frac{1}{2} \left( \frac{TP}{Q} + \frac{TN}{N - Q} \right)

    A concept that is in no image or in every image is undefined.

    Args:
        alpha: See `OverlapMetric`.
        max_bytes: See `PairwiseMetric`.

    Example:
        >>> a, c = torch.tensor([[1.0], [1.0], [0.0], [0.0]]), torch.tensor([[1.0], [0.0], [0.0], [0.0]])
        >>> round(InverseBalancedAccuracy(alpha=None).score(a, c).item(), 6)
        0.833333

    """

    passes_missing_labels = False
    passes_extra_labels = True

    def _of_counts(self, counts: PairSums) -> Tensor:
        return _balanced(counts.product, counts.concept, counts.neuron, counts.images)


def _balanced(both: Tensor, truth: Tensor, prediction: Tensor, images: int) -> Tensor:
    """Return the mean of the shares of true and of false images that are predicted as such."""
    return (both / truth + 1 - (prediction - both) / (images - truth)) / 2
