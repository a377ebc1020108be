"""Rank reorder: how far a concept's order of a neuron's top images is from the neuron's own."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_dissect.checks import check_positive
from lightning_dissect.compiled import runs_compiled
from lightning_dissect.concept_matrix import ConceptMatrix
from lightning_dissect.similarity.base import SIMILARITIES, identity, score_all
from lightning_dissect.similarity.concept_blocks import check_activations, score_blocks
from lightning_dissect.similarity.live import live_neurons
from lightning_dissect.similarity.order_cost import CompiledOrderCost, order_cost_by_torch
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
        return score_all(self.prepared(concept_matrix), activations)

    def prepared(self, concept_matrix: Tensor | ConceptMatrix) -> "ConceptOrders":
        """Check the number of images; see `PreparableSimilarity.prepared`.

        Raises:
            ValueError:
                If ``top_fraction`` covers fewer than two images.

        """
        return ConceptOrders(self, ConceptMatrix.of(concept_matrix))

    def random_cost(self, values: Tensor) -> Tensor:
        """Return the cost of a random order of each neuron's top activations.

        Args:
            values: Top activations, most activating first, shape ``(neurons, top_k)``.

        Returns:
            Shape ``(neurons,)``; NaN where there is only one order.

        """
        values = values.to(torch.float64)
        if self.shuffles:
            generator = torch.Generator().manual_seed(self.seed)
            orders = [torch.randperm(values.shape[1], generator=generator) for _ in range(self.shuffles)]
            costs = [(values - values[:, order]).abs_().pow_(self.power).mean(dim=1) for order in orders]
            cost = torch.stack(costs).mean(dim=0)
        else:
            lags = range(1, values.shape[1])
            sums = [(values[:, :-lag] - values[:, lag:]).abs_().pow_(self.power).sum(dim=1) for lag in lags]
            cost = 2 * torch.stack(sums).sum(dim=0) / values.shape[1] ** 2
        return cost.where(cost > 0, torch.nan)


class ConceptOrders:
    """`RankReorder` for one concept matrix.

    On the CPU a compiled loop hands out the activations if numba is installed, otherwise torch sorts the top images of
    every pair, with the same result.

    Args:
        settings: The similarity.
        concept_matrix: Image-text similarities, shape ``(images, concepts)``.

    Raises:
        ValueError:
            If the fraction covers fewer than two images.

    Example:
        >>> values = torch.linspace(0.1, 0.9, 10)[:, None]
        >>> scorer = ConceptOrders(RankReorder(top_fraction=0.5), ConceptMatrix.of(torch.cat([values, 1 - values], 1)))
        >>> next(scorer.blocks(values, width=2))[1].argmax(dim=1)
        tensor([0])

    """

    def __init__(self, settings: RankReorder, concept_matrix: ConceptMatrix) -> None:
        self.settings = settings
        self.concept_matrix = concept_matrix
        self._top_k = int(settings.top_fraction * concept_matrix.shape[0])
        if self._top_k < 2:
            raise ValueError(
                "Expected `top_fraction` to cover at least 2 images "
                f"but got {settings.top_fraction} of {concept_matrix.shape[0]}. "
                "Use a larger probe or a larger fraction."
            )

    def blocks(
        self,
        activations: Tensor,
        width: int,
        over_processes: Callable[[Tensor], Tensor] = identity,  # noqa: ARG002
    ) -> Iterator[tuple[slice, Tensor]]:
        """Yield ranges of concepts and their scores; see `Scorer.blocks`."""
        check_activations(activations, self.concept_matrix)
        neurons = live_neurons(activations).nonzero().flatten()
        rows = top_rows(activations, self._top_k, self.settings.max_bytes, neurons)
        values = activations[rows, neurons[:, None]]
        values = values.to(torch.promote_types(values.dtype, torch.float32))
        random_cost = self.settings.random_cost(values)
        cost_of = self._cost(values, rows)
        factors = self._mean_factors(rows) if self.concept_matrix.is_factored else None
        panel = max(1, self.settings.max_bytes // (16 * len(activations)))
        for block, scores in score_blocks(self.concept_matrix, activations.shape[1], width):
            scores.fill_(torch.nan)
            for start in range(block.start, block.stop, panel) if len(neurons) else ():
                part = slice(start, min(start + panel, block.stop))
                similarities = self.concept_matrix.columns(part)
                fit = _bag_means(rows, similarities) if factors is None else self._fit(factors, part)
                cost = cost_of(similarities)
                cost /= fit.where(fit > 0, torch.nan).pow_(self.settings.scale_power)
                scores[neurons, part.start - block.start : part.stop - block.start] = cost / -random_cost[:, None]
            yield block, scores

    def _cost(self, values: Tensor, rows: Tensor) -> Callable[[Tensor], Tensor]:
        """Return what finds the cost of the neurons for some concepts' similarities."""
        similarities = self.concept_matrix.columns(slice(0, 0))
        if runs_compiled(values, similarities) and similarities.dtype != torch.float16:
            return CompiledOrderCost(values, rows, self.settings.power).of
        power, max_bytes = self.settings.power, self.settings.max_bytes
        return lambda similarities: order_cost_by_torch(values, rows, similarities, power, max_bytes)

    def _mean_factors(self, rows: Tensor) -> Tensor:
        """Return the mean image factors of each neuron's top images, shape ``(neurons, dimensions)``, float64."""
        factors = self.concept_matrix.image_factors
        parts = torch.split(factors, max(1, self.settings.max_bytes // (8 * len(factors))), dim=1)
        return torch.cat([_bag_means(rows, part) for part in parts], dim=1)

    def _fit(self, factors: Tensor, concepts: slice) -> Tensor:
        return factors @ self.concept_matrix.concept_factors[concepts].to(torch.float64).T


def _bag_means(rows: Tensor, values: Tensor) -> Tensor:
    """Return the means of some rows of values, shape ``(neurons, columns)``, float64."""
    return torch.nn.functional.embedding_bag(rows, values.to(torch.float64).contiguous(), mode="mean")
