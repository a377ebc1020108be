"""Area under the ROC curve, with the neuron or the concept as truth."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_dissect.metrics.base import METRICS
from lightning_dissect.metrics.binarise import active_rows, check_alpha, present_rows
from lightning_dissect.metrics.pairwise import BilinearMetric, PairSums
from lightning_dissect.metrics.ranks import Ties, centred_ranks, check_ties, random_orders


@METRICS.register("auc")
@dataclass(frozen=True)
class AUC(BilinearMetric):
    r"""Area under the ROC curve: how surely the concept's presence puts active images above inactive ones.

    .. math::
        \frac{1}{2} + \frac{\sum_i b_{ik} (r_{im} - \bar r)}{P (N - P)}

    with :math:`b` the :math:`P` active images and :math:`r` the ranks of the concept's presence. Equal presence counts
    one half, so a binary concept gets its `BalancedAccuracy`. Neurons that no image activates are undefined.

    Args:
        alpha: Share of the images that count as active, see `binarise`; ``None`` if activations are binary already.
        ties: ``"mid"``, or ``"random"`` to break ties in a random order of the images: what was published, up to the
            loss of digits by which values closer than 1e-7 were exchanged as well. It has the same expectation.
        seed: Seed of that order.
        max_bytes: See `PairwiseMetric`.

    Raises:
        ValueError:
            If ``alpha`` or ``ties`` is none of these.

    Example:
        >>> active = torch.tensor([[1.0], [1.0], [0.0], [0.0]])
        >>> AUC(alpha=None).score(active, torch.tensor([[0.9], [0.5], [0.5], [0.1]])).item()
        0.875

    References:
        Oikarinen, Yan and Weng, Evaluating Neuron Explanations, ICML 2025. https://arxiv.org/abs/2506.05774

    """

    passes_missing_labels = True
    passes_extra_labels = False

    alpha: float | None = 0.01
    ties: Ties = "mid"
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_alpha(self.alpha)
        check_ties(self.ties)

    def _neuron_rows(self, rows: Tensor) -> Tensor:
        return active_rows(rows, self.alpha).to(torch.float64)

    def _concept_rows(self, rows: Tensor) -> Tensor:
        order = None if self.ties == "mid" else random_orders(self.seed, rows.shape[1], rows.device)[1]
        return centred_ranks(rows, order)

    def _formula(self, sums: PairSums) -> Tensor:
        return 0.5 + sums.product / (sums.neuron * (sums.images - sums.neuron))


@METRICS.register("inverse_auc")
@dataclass(frozen=True)
class InverseAUC(BilinearMetric):
    r"""Area under the ROC curve with the roles exchanged: how surely activations find the images with the concept.

    .. math::
        \frac{1}{2} + \frac{\sum_i d_{im} (r_{ik} - \bar r)}{Q (N - Q)}

    with :math:`d` the :math:`Q` images with the concept and :math:`r` the ranks of the activations. A concept that is
    in no image or in every image is undefined.

    Args:
        ties: As in `AUC`.
        seed: As in `AUC`.
        max_bytes: See `PairwiseMetric`.

    Raises:
        ValueError:
            If ``ties`` is not a rule.

    Example:
        >>> present = torch.tensor([[1.0], [0.0], [1.0], [0.0]])
        >>> InverseAUC().score(torch.tensor([[9.0], [7.0], [5.0], [1.0]]), present).item()
        0.75

    References:
        Oikarinen, Yan and Weng, Evaluating Neuron Explanations, ICML 2025. https://arxiv.org/abs/2506.05774

    """

    passes_missing_labels = False
    passes_extra_labels = True

    ties: Ties = "mid"
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ties(self.ties)

    def _neuron_rows(self, rows: Tensor) -> Tensor:
        order = None if self.ties == "mid" else random_orders(self.seed, rows.shape[1], rows.device)[0]
        return centred_ranks(rows, order)

    def _concept_rows(self, rows: Tensor) -> Tensor:
        return present_rows(rows).to(torch.float64)

    def _formula(self, sums: PairSums) -> Tensor:
        return 0.5 + sums.product / (sums.concept * (sums.images - sums.concept))
