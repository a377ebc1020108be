"""Cosine of activations and concept presence."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_dissect.metrics.base import METRICS
from lightning_dissect.metrics.pairwise import BilinearMetric, PairSums


@METRICS.register("cosine")
@dataclass(frozen=True)
class Cosine(BilinearMetric):
    r"""Cosine of the angle between a neuron's activations and a concept's presence, without centring.

    .. math::
        \frac{\sum_i a_{ik} c_{im}}{\lVert a_k \rVert \lVert c_m \rVert}

    It changes when a constant is added to activations: prefer `PearsonCorrelation` where zero has no meaning. For
    binary neurons and concepts it is the geometric mean of precision and recall. A concept that is zero on every image
    is undefined.

    Args:
        max_bytes: See `PairwiseMetric`.

    Example:
        >>> Cosine().score(torch.tensor([[3.0], [4.0]]), torch.tensor([[1.0], [0.0]])).item()
        0.6

    References:
        Oikarinen, Yan and Weng, Evaluating Neuron Explanations, ICML 2025. https://arxiv.org/abs/2506.05774

    """

    score_range = (-1.0, 1.0)
    passes_missing_labels = True
    passes_extra_labels = True

    def _neuron_rows(self, rows: Tensor) -> Tensor:
        return _unit_rows(rows)

    def _concept_rows(self, rows: Tensor) -> Tensor:
        return _unit_rows(rows)

    def _formula(self, sums: PairSums) -> Tensor:
        return sums.product.clamp(-1, 1)


def _unit_rows(rows: Tensor) -> Tensor:
    """Return rows of norm one, NaN where they are zero; scaled first, so that no square over- or underflows."""
    scaled = rows / rows.abs().amax(dim=1, keepdim=True)
    norms: Tensor = torch.linalg.vector_norm(scaled, dim=1, keepdim=True)
    return scaled / norms
