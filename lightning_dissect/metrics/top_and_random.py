"""Correlations on a few top images and a few random ones."""

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_dissect.checks import check_positive
from lightning_dissect.metrics.base import METRICS
from lightning_dissect.metrics.binarise import active_rows, check_alpha
from lightning_dissect.metrics.correlation import standardised_rows
from lightning_dissect.metrics.pairwise import PairwiseMetric
from lightning_dissect.metrics.ranks import Ties, centred_ranks, check_ties, random_orders


@dataclass(frozen=True)
class TopAndRandomMetric(PairwiseMetric):
    """A correlation on ``k`` images drawn from a neuron's active ones and ``k`` drawn from all.

    Both are drawn without replacement; an image in both counts twice. A neuron with fewer than ``k`` active images
    gives all of them. Draws depend on the seed, the number of images and the neuron's own active images alone: the
    random images are the same for all neurons, and neither their order nor their grouping matters. A concept that is
    the same on all drawn images is undefined for that neuron.

    Args:
        alpha: Share of the images from which the top is drawn; ``None`` if activations are binary already.
        k: Images drawn from the top, and images drawn from all.
        seed: Seed of the draws.
        max_bytes: See `PairwiseMetric`.

    Raises:
        ValueError:
            If ``alpha`` is not between 0 and 1 or ``k`` is not positive.

    """

    score_range = (-1.0, 1.0)
    passes_missing_labels = False
    passes_extra_labels = False

    alpha: float | None = 0.002
    k: int = 25
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_alpha(self.alpha)
        check_positive("k", self.k)

    def _neuron_rows(self, rows: Tensor) -> Tensor:
        return rows

    def _concept_rows(self, rows: Tensor) -> Tensor:
        return rows

    @abstractmethod
    def _correlated(self, drawn: Tensor, side: int) -> Tensor:
        """Standardise what a correlation reads of neurons (side 0) or concepts (side 1) on the drawn images."""

    def _all_pairs(self, neuron_rows: Tensor, concept_rows: Tensor) -> Tensor:
        return torch.stack(
            [self._correlations(row, concept_rows[:, drawn], drawn) for row, drawn in self._draws(neuron_rows)]
        )

    def _own_pairs(self, neuron_rows: Tensor, concept_rows: Tensor) -> Tensor:
        pairs = zip(self._draws(neuron_rows), concept_rows, strict=True)
        return torch.cat([self._correlations(row, own[drawn][None], drawn) for (row, drawn), own in pairs])

    def _correlations(self, row: Tensor, presence: Tensor, drawn: Tensor) -> Tensor:
        neuron = self._correlated(row[drawn][None], side=0)
        return (self._correlated(presence, side=1) * neuron).sum(dim=1).clamp(-1, 1)

    def _draws(self, rows: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return every neuron with the images drawn for it."""
        order, others = random_orders(self.seed, rows.shape[1], rows.device)
        shuffled = active_rows(rows, self.alpha)[:, order]
        return [
            (row, torch.cat([order[active.nonzero()[: self.k, 0]], others[: self.k]]))
            for row, active in zip(rows, shuffled, strict=True)
        ]


@METRICS.register("correlation_top_and_random")
@dataclass(frozen=True)
class CorrelationTopAndRandom(TopAndRandomMetric):
    """Pearson correlation on top and random images.

    Args:
        alpha: See `TopAndRandomMetric`.
        k: See `TopAndRandomMetric`.
        seed: See `TopAndRandomMetric`.
        max_bytes: See `PairwiseMetric`.

    Example:
        >>> activations = torch.linspace(0, 1, 1000)[:, None]
        >>> CorrelationTopAndRandom().score(activations, activations).round(decimals=6)
        tensor([[1.]], dtype=torch.float64)

    References:
        Oikarinen, Yan and Weng, Evaluating Neuron Explanations, ICML 2025. https://arxiv.org/abs/2506.05774

    """

    def _correlated(self, drawn: Tensor, side: int) -> Tensor:  # noqa: ARG002
        return standardised_rows(drawn)


@METRICS.register("spearman_top_and_random")
@dataclass(frozen=True)
class SpearmanTopAndRandom(TopAndRandomMetric):
    """Spearman's rank correlation on top and random images, with midranks among these.

    Args:
        alpha: See `TopAndRandomMetric`.
        k: See `TopAndRandomMetric`.
        seed: See `TopAndRandomMetric`.
        ties: As in `SpearmanCorrelation`.
        max_bytes: See `PairwiseMetric`.

    Raises:
        ValueError:
            If ``ties`` is not a rule.

    Example:
        >>> activations = torch.linspace(0, 1, 1000)[:, None]
        >>> SpearmanTopAndRandom().score(activations, -activations.exp()).round(decimals=6)
        tensor([[-1.]], dtype=torch.float64)

    References:
        Oikarinen, Yan and Weng, Evaluating Neuron Explanations, ICML 2025. https://arxiv.org/abs/2506.05774

    """

    ties: Ties = "mid"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ties(self.ties)

    def _correlated(self, drawn: Tensor, side: int) -> Tensor:
        order = None if self.ties == "mid" else random_orders(self.seed, drawn.shape[1], drawn.device)[side]
        constant = drawn.amax(dim=1, keepdim=True) == drawn.amin(dim=1, keepdim=True)
        return standardised_rows(centred_ranks(drawn, order)).masked_fill(constant, torch.nan)
