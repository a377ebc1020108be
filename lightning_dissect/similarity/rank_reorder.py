"""Rank reorder: how far a concept's order of a neuron's top images is from the neuron's own."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_dissect.checks import check_positive, check_score_inputs
from lightning_dissect.similarity.base import SIMILARITIES
from lightning_dissect.similarity.live import live_neurons
from lightning_dissect.similarity.top_images import top_rows


@SIMILARITIES.register("rank_reorder")
@dataclass(frozen=True)
class RankReorder:
    r"""Rank reorder: the cost of putting a neuron's top activations into the order of the concept.

    .. math::
        \text{score}(k, m) = -\frac{\frac{1}{n} \sum_j |x_j - y_j|^p}{B_k \; (\frac{1}{n} \sum_j P_{I(j) m})^s}

    where :math:`x` holds the activations of the neuron's :math:`n` top images :math:`I`, :math:`y` the same values
    handed out in the order of the concept matrix :math:`P` and :math:`B_k` the cost of a random order. A concept that
    does not tell the images apart gets the reverse order, the worst there is.

    :math:`B_k` is a constant of the neuron, so it does not touch the label. It is the exact expectation
    :math:`\frac{1}{n^2} \sum_{ij} |x_i - x_j|^p`; with ``shuffles`` it is the mean over that many seeded random orders,
    as published with 5. Where the mean similarity over the top images is not positive the score is undefined and NaN;
    so it is for neurons that are constant, constant over their top images or not finite.

    Args:
        top_fraction: Share of the images that counts as a neuron's top, rounded down.
        power: Exponent :math:`p` of the differences.
        scale_power: Exponent :math:`s` of the mean similarity, which prefers concepts that fit the images.
        shuffles: Random orders behind :math:`B_k`; 0 takes the exact expectation.
        seed: Seed of the random orders.
        max_bytes: Most bytes that an intermediate tensor may take.

    Raises:
        ValueError:
            If an argument is outside its range.

    Example:
        >>> activations = torch.linspace(0, 1, 80).reshape(-1, 1)
        >>> concept_matrix = torch.cat([activations, 1 - activations], dim=1)
        >>> RankReorder().score(activations, concept_matrix).argmax(dim=1)
        tensor([0])

    References:
        Oikarinen and Weng, CLIP-Dissect, ICLR 2023, appendix. https://arxiv.org/abs/2204.10965

    """

    top_fraction: float = 0.05
    power: float = 3.0
    scale_power: float = 0.5
    shuffles: int = 0
    seed: int = 0
    max_bytes: int = 2**24

    def __post_init__(self) -> None:
        for name in ("top_fraction", "power", "max_bytes"):
            check_positive(name, getattr(self, name))
        if self.top_fraction > 1:
            raise ValueError(f"Expected `top_fraction` to be at most 1 but got {self.top_fraction}.")
        if self.shuffles < 0:
            raise ValueError(f"Expected `shuffles` to be 0 or more but got {self.shuffles}.")

    def score(self, activations: Tensor, concept_matrix: Tensor) -> Tensor:
        """Score neurons against concepts; see `Similarity.score`.

        Raises:
            ValueError:
                If the shapes do not fit or ``top_fraction`` covers fewer than two images.

        """
        check_score_inputs(activations, concept_matrix)
        top_k = int(self.top_fraction * len(activations))
        if top_k < 2:
            raise ValueError(
                "Expected `top_fraction` to cover at least 2 images "
                f"but got {self.top_fraction} of {len(activations)}. Use a larger probe or a larger fraction."
            )
        live = live_neurons(activations)
        scores = torch.full((activations.shape[1], concept_matrix.shape[1]), torch.nan, dtype=torch.float64)
        scores = scores.to(activations.device)
        if live.any():
            rows = top_rows(activations[:, live], top_k, self.max_bytes)
            values = activations[:, live].T.gather(1, rows).to(torch.float64)
            scores[live] = self._cost(values, rows, concept_matrix) / -self._random_cost(values)[:, None]
        return scores

    def _cost(self, values: Tensor, rows: Tensor, concept_matrix: Tensor) -> Tensor:
        neurons, top_k = rows.shape
        ascending = values.flip(1)[:, None]
        cost = torch.empty(neurons, concept_matrix.shape[1], dtype=torch.float64, device=values.device)
        columns = max(1, self.max_bytes // (16 * len(concept_matrix)))
        tile = max(1, self.max_bytes // (16 * top_k * columns))
        for first in range(0, concept_matrix.shape[1], columns):
            block = concept_matrix[:, first : first + columns].T.contiguous()
            for start in range(0, neurons, tile):
                part = slice(start, start + tile)
                similarity = block[:, rows[part]].transpose(0, 1)
                order = similarity.argsort(dim=2, stable=True)
                handed_out = values[part, None].expand(similarity.shape).gather(2, order)
                distance = (handed_out - ascending[part]).abs_().pow_(self.power).mean(dim=2)
                fit = similarity.mean(dim=2, dtype=torch.float64)
                cost[part, first : first + columns] = distance / fit.where(fit > 0, torch.nan).pow_(self.scale_power)
        return cost

    def _random_cost(self, values: Tensor) -> Tensor:
        if self.shuffles:
            generator = torch.Generator().manual_seed(self.seed)
            orders = [torch.randperm(values.shape[1], generator=generator) for _ in range(self.shuffles)]
            costs = [(values - values[:, order]).abs_().pow_(self.power).mean(dim=1) for order in orders]
            cost = torch.stack(costs).mean(dim=0)
        else:
            cost = torch.stack([(row[:, None] - row).abs_().pow_(self.power).mean() for row in values])
        return cost.where(cost > 0, torch.nan)
