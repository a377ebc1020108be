"""Spearman's rank correlation of activations and concept presence."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_dissect.metrics.base import METRICS
from lightning_dissect.metrics.correlation import standardised_rows
from lightning_dissect.metrics.pairwise import BilinearMetric, PairSums
from lightning_dissect.metrics.ranks import Ties, centred_ranks, check_ties, random_orders

TIES_DECIDE = (
    "The published verdict belongs to ranks with ties broken at random, which shrink the coefficient of rare binary "
    "concepts to zero. With midranks it equals Pearson's on binary data and passes both tests in theory."
)


@METRICS.register("spearman")
@dataclass(frozen=True)
class SpearmanCorrelation(BilinearMetric):
    r"""Spearman's rank correlation: the Pearson correlation of ranks, equal values sharing the mean of theirs.

    It reads nothing of activations but their order. Constant neurons and constant concepts get NaN.

    Args:
        ties: ``"mid"``, or ``"random"`` to break ties at random: one order of the images for all neurons, another one
            for all concepts. For a binary pair of frequency :math:`\gamma` this shrinks the coefficient to
            :math:`3 \gamma (1 - \gamma)` of itself on average, as published.
        seed: Seed of these orders.
        max_bytes: See `PairwiseMetric`.

    Raises:
        ValueError:
            If ``ties`` is not a rule.

    Example:
        >>> activations = torch.tensor([[0.0], [1.0], [8.0]])
        >>> presence = torch.tensor([[0.1, 0.9], [0.2, 0.5], [0.9, 0.1]])
        >>> SpearmanCorrelation().score(activations, presence).round(decimals=6).tolist()
        [[1.0, -1.0]]

    References:
        Oikarinen, Yan and Weng, Evaluating Neuron Explanations, ICML 2025. https://arxiv.org/abs/2506.05774

    """

    score_range = (-1.0, 1.0)
    passes_missing_labels = False
    passes_extra_labels = False
    verdict_note = TIES_DECIDE

    ties: Ties = "mid"
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ties(self.ties)

    def _neuron_rows(self, rows: Tensor) -> Tensor:
        return self._standardised_ranks(rows, side=0)

    def _concept_rows(self, rows: Tensor) -> Tensor:
        return self._standardised_ranks(rows, side=1)

    def _formula(self, sums: PairSums) -> Tensor:
        return sums.product.clamp(-1, 1)

    def _standardised_ranks(self, rows: Tensor, side: int) -> Tensor:
        order = None if self.ties == "mid" else random_orders(self.seed, rows.shape[1], rows.device)[side]
        constant = rows.amax(dim=1, keepdim=True) == rows.amin(dim=1, keepdim=True)
        return standardised_rows(centred_ranks(rows, order)).masked_fill(constant, torch.nan)
