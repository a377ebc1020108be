"""Mean activation difference."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_dissect.metrics.base import METRICS
from lightning_dissect.metrics.binarise import present_rows
from lightning_dissect.metrics.pairwise import BilinearMetric, PairSums


@METRICS.register("mad")
@dataclass(frozen=True)
class MeanActivationDifference(BilinearMetric):
    r"""Mean activation difference (MAD): how much stronger a neuron is on images with the concept than without.

    .. math::
        \frac{1}{Q} \sum_{i : d_i = 1} a_i - \frac{1}{N - Q} \sum_{i : d_i = 0} a_i

    It is in units of the activation, so scores of different neurons do not compare. A concept that is in no image or
    in every image is undefined.

    Args:
        max_bytes: See `PairwiseMetric`.

    Example:
        >>> present = torch.tensor([[1.0], [1.0], [0.0]])
        >>> MeanActivationDifference().score(torch.tensor([[5.0], [3.0], [1.0]]), present).item()
        3.0

    References:
        Oikarinen, Yan and Weng, Evaluating Neuron Explanations, ICML 2025. https://arxiv.org/abs/2506.05774

    """

    score_range = (-math.inf, math.inf)
    passes_missing_labels = False
    passes_extra_labels = True

    def _neuron_rows(self, rows: Tensor) -> Tensor:
        return rows - rows.mean(dim=1, keepdim=True)  # then both means are one sum: what one gains the other loses

    def _concept_rows(self, rows: Tensor) -> Tensor:
        return present_rows(rows).to(torch.float64)

    def _formula(self, sums: PairSums) -> Tensor:
        shares = sums.concept * (sums.images - sums.concept) / sums.images
        return sums.product / shares.where(shares > 0, torch.nan)
