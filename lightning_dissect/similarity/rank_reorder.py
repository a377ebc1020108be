"""Rank reorder: how far a concept's order of a neuron's top images is from the neuron's own."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_dissect.checks import check_positive
from lightning_dissect.compiled import loops_read
from lightning_dissect.concept_matrix import ConceptMatrix
from lightning_dissect.similarity.base import SIMILARITIES, identity, score_all
from lightning_dissect.similarity.best_concepts import BestConcepts
from lightning_dissect.similarity.concept_blocks import check_activations, score_blocks
from lightning_dissect.similarity.live import live_neurons
from lightning_dissect.similarity.order_bound import LANES, OrderCostBound
from lightning_dissect.similarity.order_cost import (
    CompiledOrderCost,
    order_cost_by_torch,
    order_cost_of_pairs,
)
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

        On the CPU, with numba and for the power 3, the best concepts are found without scoring all.

        Raises:
            ValueError:
                If ``top_fraction`` covers fewer than two images.

        """
        matrix = ConceptMatrix.of(concept_matrix)
        bounded = self.power == 3 and sorts_compiled(matrix)
        return BoundedConceptOrders(self, matrix) if bounded else ConceptOrders(self, matrix)

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
        top = self.top_images(activations)
        cost_of = self._cost(top)
        panel = max(1, self.settings.max_bytes // (16 * len(activations)))
        for block, scores in score_blocks(self.concept_matrix, activations.shape[1], width):
            scores.fill_(torch.nan)
            for start in range(block.start, block.stop, panel) if len(top.neurons) else ():
                part = slice(start, min(start + panel, block.stop))
                similarities = self.concept_matrix.columns(part)
                found = cost_of(similarities).div_(self.scale(top, similarities, part))
                scores[top.neurons, part.start - block.start : part.stop - block.start] = found
            yield block, scores

    def top_images(self, activations: Tensor) -> "TopImages":
        """Return the top images of the live neurons.

        Args:
            activations: Pooled activations, shape ``(images, neurons)``.

        Raises:
            ValueError:
                If the activations do not fit the concept matrix.

        """
        check_activations(activations, self.concept_matrix)
        neurons = live_neurons(activations).nonzero().flatten()
        rows = top_rows(activations, self._top_k, self.settings.max_bytes, neurons)
        values = activations[rows, neurons[:, None]]
        values = values.to(torch.promote_types(values.dtype, torch.float32))
        factors = self._mean_factors(rows) if self.concept_matrix.is_factored else None
        return TopImages(neurons, rows, values, self.settings.random_cost(values), factors)

    def scale(self, top: "TopImages", similarities: Tensor, concepts: slice) -> Tensor:
        """Return what the score of a cost of 1 is, inverted; NaN where the mean similarity is not positive.

        Args:
            top: Top images of some neurons.
            similarities: Of some concepts, shape ``(images, concepts)``.
            concepts: Which they are.

        Returns:
            Shape ``(neurons, concepts)``, float64.

        """
        if top.mean_factors is None:
            means = _bag_means(top.rows, similarities)
        else:
            means = top.mean_factors @ self.concept_matrix.concept_factors[concepts].to(torch.float64).T
        return means.masked_fill_(means <= 0, torch.nan).pow_(self.settings.scale_power).mul_(-top.random_cost[:, None])

    def _cost(self, top: "TopImages") -> Callable[[Tensor], Tensor]:
        """Return what finds the cost of the neurons for some concepts' similarities."""
        if sorts_compiled(self.concept_matrix):
            return CompiledOrderCost(top.values, top.rows, self.settings.power).of
        power, max_bytes = self.settings.power, self.settings.max_bytes
        return lambda similarities: order_cost_by_torch(top.values, top.rows, similarities, power, max_bytes)

    def _mean_factors(self, rows: Tensor) -> Tensor:
        factors = self.concept_matrix.image_factors
        parts = torch.split(factors, max(1, self.settings.max_bytes // (8 * len(factors))), dim=1)
        return torch.cat([_bag_means(rows, part) for part in parts], dim=1)


class BoundedConceptOrders(ConceptOrders):
    """`ConceptOrders` that scores only concepts which may be among the best, by a bound that is found faster.

    Only on the CPU, where numba is installed, and for the power 3.
    """

    def best(self, activations: Tensor, count: int) -> BestConcepts:
        """Find the best concepts; see `SearchingScorer.best`.

        Concepts with the best bounds are scored first, until a neuron has as many as asked for. Of the others only
        those are scored whose bound is no worse than the last of these.
        """
        best = BestConcepts(activations.shape[1], count)
        at_once = max(1, self.settings.max_bytes // (4 * self._top_k))
        for start in range(0, activations.shape[1], at_once):
            top = self.top_images(activations[:, start : start + at_once])
            if len(top.neurons):
                found, neurons = self._search(top, count), start + top.neurons
                best.values[neurons], best.concepts[neurons] = found.values, found.concepts
        return best

    def _search(self, top: "TopImages", count: int) -> BestConcepts:
        best, bounds = BestConcepts(len(top.neurons), count), OrderCostBound(top.values, top.rows)
        made = 0 if self.concept_matrix.is_kept else self.concept_matrix.shape[0]
        width = max(1, self.settings.max_bytes // (LANES * 8 * max(len(top.neurons), made))) * LANES
        for part, scores in score_blocks(self.concept_matrix, len(top.neurons), width):
            similarities = self.concept_matrix.columns(part)
            scale, bound = self.scale(top, similarities, part), bounds.of(similarities)
            scores.fill_(-torch.inf)
            least = best.values[:, -1:]
            if least.isinf().any():
                reach = (bound / scale).nan_to_num_(nan=-torch.inf)
                first = reach.topk(min(4 * count, reach.shape[1]), dim=1).indices
                chosen = torch.zeros(reach.shape, dtype=torch.bool).scatter_(1, first, value=True)
                chosen &= reach.isfinite() & least.isinf()
                _score_chosen(chosen, top, similarities, scale, scores)
                bound[chosen] = torch.nan
                least = torch.cat([best.values, scores], dim=1).topk(count, dim=1).values[:, -1:]
            _score_chosen(bound <= least * scale, top, similarities, scale, scores)
            best.update(part.start, scores)
        return best


@dataclass(frozen=True)
class TopImages:
    """Top images of the live neurons of a layer.

    Args:
        neurons: Which neurons are live, shape ``(live,)``.
        rows: Their most activating images, shape ``(live, top_k)``.
        values: Activations of these, most activating first, at least float32, of the same shape.
        random_cost: Cost of a random order, shape ``(live,)``.
        mean_factors: Mean image factors, shape ``(live, dimensions)``, float64; None without factors.

    """

    neurons: Tensor
    rows: Tensor
    values: Tensor
    random_cost: Tensor
    mean_factors: Tensor | None


def _score_chosen(chosen: Tensor, top: TopImages, similarities: Tensor, scale: Tensor, scores: Tensor) -> None:
    """Write the scores of chosen pairs of neurons and concepts."""
    neurons, concepts = chosen.nonzero().unbind(dim=1)
    cost = order_cost_of_pairs(top.values, top.rows, similarities, neurons, concepts, power=3.0)
    scores[neurons, concepts] = cost.div_(scale[neurons, concepts])


def sorts_compiled(concept_matrix: ConceptMatrix) -> bool:
    """Return whether compiled loops can sort a concept matrix."""
    return loops_read(concept_matrix.columns(slice(0, 0)))


def _bag_means(rows: Tensor, values: Tensor) -> Tensor:
    """Return the means of some rows of values, shape ``(neurons, columns)``, float64."""
    return torch.nn.functional.embedding_bag(rows, values.to(torch.float64).contiguous(), mode="mean")
