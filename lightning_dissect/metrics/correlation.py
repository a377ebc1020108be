"""Pearson correlation of activations and concept presence."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_dissect.checks import check_positive, check_score_inputs
from lightning_dissect.metrics.base import METRICS
from lightning_dissect.standardise import standardised_columns


@METRICS.register("correlation")
@dataclass(frozen=True)
class PearsonCorrelation:
    r"""Pearson correlation of a neuron's activations with a concept's presence.

    .. math::
        r(k, m) = \frac{\sum_i (a_{ik} - \bar a_k)(c_{im} - \bar c_m)}
        {\sqrt{\sum_i (a_{ik} - \bar a_k)^2 \sum_i (c_{im} - \bar c_m)^2}}

    It passes both sanity checks of NeuronEval: it falls when a concept misses half of the images it should name, and
    when it names twice as many. It is the exact coefficient, without the factor :math:`(N-1)/N` of NeuronEval's code.
    Constant neurons and constant concepts get NaN.

    Args:
        max_bytes: Most bytes that a float64 copy of some columns may take.

    Raises:
        ValueError:
            If ``max_bytes`` is not positive.

    Example:
        >>> activations = torch.tensor([[0.0], [1.0], [2.0]])
        >>> presence = torch.tensor([[0.1, 0.9], [0.5, 0.5], [0.9, 0.1]])
        >>> PearsonCorrelation().score(activations, presence).round(decimals=6).tolist()
        [[1.0, -1.0]]

    References:
        Oikarinen, Yan and Weng, Evaluating Neuron Explanations, ICML 2025. https://arxiv.org/abs/2506.05774

    """

    max_bytes: int = 2**26

    def __post_init__(self) -> None:
        check_positive("max_bytes", self.max_bytes)

    def score(self, activations: Tensor, concept_presence: Tensor) -> Tensor:
        """Score neurons against concepts; see `NeuronMetric.score`.

        Raises:
            ValueError:
                If the shapes do not fit.

        """
        check_score_inputs(activations, concept_presence, name="concept_presence")
        neurons = standardised_columns(activations).T
        blocks = torch.split(concept_presence, self._columns(activations), dim=1)
        return torch.cat([neurons @ standardised_columns(block) for block in blocks], dim=1).clamp_(-1, 1)

    def score_pairs(self, activations: Tensor, concept_presence: Tensor) -> Tensor:
        """Score each neuron against one concept of its own.

        Args:
            activations: Pooled activations, shape ``(images, neurons)``.
            concept_presence: Presence of each neuron's concept, shape ``(images, neurons)``.

        Returns:
            Correlations in float64, shape ``(neurons,)``; NaN where undefined.

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
        columns = self._columns(activations)
        pairs = zip(
            torch.split(activations, columns, dim=1), torch.split(concept_presence, columns, dim=1), strict=True
        )
        products = [(standardised_columns(a) * standardised_columns(c)).sum(dim=0) for a, c in pairs]
        return torch.cat(products).clamp_(-1, 1)

    def _columns(self, values: Tensor) -> int:
        return max(1, self.max_bytes // (8 * len(values)))
