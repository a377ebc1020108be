"""What metrics share: columns become rows, rows become scores, block by block and within a budget."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_dissect.checks import check_positive, check_score_inputs
from lightning_dissect.metrics.base import MetricTraits

Transform = Callable[[Tensor], Tensor]
"""From float64 rows, one per column of the input, to what a metric reads of them; both ``(columns, images)``."""

STORED_BYTES = 8
"""Most bytes that a prepared row takes per image."""

TRANSIENT_BYTES = 144
"""Most bytes per image that preparing a row takes: its copy, a sort with indices, ranks and what they are made of."""


@dataclass(frozen=True)
class PairwiseMetric(MetricTraits, ABC):
    """A metric that prepares every neuron and every concept once and then scores pairs of them.

    Two rules hold for all of them. A neuron that is the same on every image, or not finite on some, has no function
    that a concept could describe: all its scores are NaN. So are the scores of a concept that is not finite. Everything
    else that is undefined is NaN by the formula of the metric, which says where; see `explain_undefined`.

    Nothing depends on how neurons and concepts are grouped, and cost is linear in either.

    Args:
        max_bytes: Most bytes that all intermediate results together may take above inputs and scores.

    Raises:
        ValueError:
            If ``max_bytes`` is not positive.

    Example:
        >>> from lightning_dissect.metrics import METRICS
        >>> metric = METRICS.resolve("auc")
        >>> metric.score_range, metric.passes_missing_labels, metric.passes_extra_labels
        ((0.0, 1.0), True, False)

    """

    max_bytes: int = field(default=2**30, kw_only=True)

    def __post_init__(self) -> None:
        check_positive("max_bytes", self.max_bytes)

    def score(self, activations: Tensor, concept_presence: Tensor) -> Tensor:
        """Score every neuron against every concept; see `NeuronMetric.score`.

        Args:
            activations: Pooled activations, shape ``(images, neurons)``, any real dtype.
            concept_presence: Probability that a concept is in an image, shape ``(images, concepts)``.

        Returns:
            Scores in float64, shape ``(neurons, concepts)``; NaN where undefined.

        Raises:
            ValueError:
                If the shapes do not fit.

        """
        check_score_inputs(activations, concept_presence, name="concept_presence")
        images, neurons = activations.shape
        concepts = concept_presence.shape[1]
        scores = torch.empty(neurons, concepts, dtype=torch.float64, device=activations.device)
        height, width = self._fitting(images * STORED_BYTES, 1 / 2), self._fitting(images * STORED_BYTES, 1 / 8)
        for top in range(0, neurons, height):
            some = slice(top, top + height)
            neuron_rows, constant, _ = self._prepared(activations[:, some], self._neuron_rows)
            for left in range(0, concepts, width):
                part = slice(left, left + width)
                concept_rows, _, finite = self._prepared(concept_presence[:, part], self._concept_rows)
                pairs = self._all_pairs(neuron_rows, concept_rows)
                scores[some, part] = pairs.masked_fill_(constant[:, None] | ~finite, torch.nan)
        return scores

    def score_pairs(self, activations: Tensor, concept_presence: Tensor) -> Tensor:
        """Score each neuron against one concept of its own: the diagonal of `score` at a fraction of its cost.

        Args:
            activations: Pooled activations, shape ``(images, neurons)``.
            concept_presence: Presence of each neuron's concept, shape ``(images, neurons)``.

        Returns:
            Scores in float64, shape ``(neurons,)``; NaN where undefined.

        Raises:
            ValueError:
                If the shapes differ.

        """
        check_score_inputs(activations, concept_presence, name="concept_presence")
        if activations.shape != concept_presence.shape:
            raise ValueError(
                "Expected `activations` and `concept_presence` to have one column per neuron each "
                f"but got shapes {tuple(activations.shape)} and {tuple(concept_presence.shape)}."
            )
        width = self._fitting(len(activations) * TRANSIENT_BYTES, 1 / 2)
        scores = []
        for some, own in zip(
            torch.split(activations, width, dim=1), torch.split(concept_presence, width, dim=1), strict=True
        ):
            neuron_rows, constant, _ = self._prepared(some, self._neuron_rows)
            concept_rows, _, finite = self._prepared(own, self._concept_rows)
            scores.append(self._own_pairs(neuron_rows, concept_rows).masked_fill_(constant | ~finite, torch.nan))
        return torch.cat(scores)

    @abstractmethod
    def _neuron_rows(self, rows: Tensor) -> Tensor:
        """Turn activations, float64 ``(neurons, images)``, into what the metric reads of neurons."""

    @abstractmethod
    def _concept_rows(self, rows: Tensor) -> Tensor:
        """Turn presence, float64 ``(concepts, images)``, into what the metric reads of concepts."""

    @abstractmethod
    def _all_pairs(self, neuron_rows: Tensor, concept_rows: Tensor) -> Tensor:
        """Score every prepared neuron against every prepared concept, shape ``(neurons, concepts)``."""

    @abstractmethod
    def _own_pairs(self, neuron_rows: Tensor, concept_rows: Tensor) -> Tensor:
        """Score every prepared neuron against the prepared concept at its place, shape ``(neurons,)``."""

    def _fitting(self, bytes_each: int, share: float) -> int:
        return max(1, int(self.max_bytes * share) // bytes_each)

    def _prepared(self, values: Tensor, transform: Transform) -> tuple[Tensor, Tensor, Tensor]:
        """Return prepared rows, which of them are constant or not finite, and which are finite."""
        columns = values.shape[1]
        step = self._fitting(len(values) * TRANSIENT_BYTES, 3 / 8)
        parts = ((slice(start, start + step), values[:, start : start + step]) for start in range(0, columns, step))
        prepared = values.new_empty(0)
        constant = torch.empty(columns, dtype=torch.bool, device=values.device)
        finite = torch.empty_like(constant)
        for part, block in parts:
            rows, finite[part] = finite_rows(block)
            constant[part] = rows.amax(dim=1) == rows.amin(dim=1)
            ready = transform(rows)
            if part.start == 0:
                prepared = ready.new_empty(columns, ready.shape[1])
            prepared[part] = ready
        return prepared, constant, finite


class PairSums(NamedTuple):
    """The sums over images that a bilinear metric is a formula of; they broadcast against each other.

    Args:
        product: Sum of the products of a neuron's and a concept's prepared rows.
        neuron: Sum of the neuron's prepared row.
        concept: Sum of the concept's prepared row.
        images: Number of images.

    """

    product: Tensor
    neuron: Tensor
    concept: Tensor
    images: int


@dataclass(frozen=True)
class BilinearMetric(PairwiseMetric):
    """A metric that is a formula of one matrix product of prepared neurons and concepts."""

    @abstractmethod
    def _formula(self, sums: PairSums) -> Tensor:
        """Return scores from sums over images."""

    def _all_pairs(self, neuron_rows: Tensor, concept_rows: Tensor) -> Tensor:
        product = neuron_rows @ concept_rows.T
        sums = PairSums(product, neuron_rows.sum(dim=1)[:, None], concept_rows.sum(dim=1), neuron_rows.shape[1])
        return self._formula(sums)

    def _own_pairs(self, neuron_rows: Tensor, concept_rows: Tensor) -> Tensor:
        product = (neuron_rows * concept_rows).sum(dim=1)
        return self._formula(PairSums(product, neuron_rows.sum(dim=1), concept_rows.sum(dim=1), neuron_rows.shape[1]))


def finite_rows(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return columns as float64 rows, all zero where a column is not finite, and which columns are finite.

    Args:
        values: Shape ``(images, columns)``, any real dtype.

    Returns:
        Rows of shape ``(columns, images)`` and a mask of shape ``(columns,)``.

    Example:
        >>> finite_rows(torch.tensor([[1.0, 2.0], [torch.inf, 3.0]]))
        (tensor([[0., 0.],
                [2., 3.]], dtype=torch.float64), tensor([False,  True]))

    """
    rows = torch.empty(values.shape[1], len(values), dtype=torch.float64, device=values.device).copy_(values.T)
    finite = rows.isfinite().all(dim=1)
    rows[~finite] = 0
    return rows, finite
