"""Pearson correlation of activations and concept presence."""

from dataclasses import dataclass

from torch import Tensor

from lightning_dissect.metrics.base import METRICS
from lightning_dissect.metrics.pairwise import BilinearMetric, PairSums
from lightning_dissect.standardise import standardised_columns


@METRICS.register("correlation")
@dataclass(frozen=True)
class PearsonCorrelation(BilinearMetric):
    r"""Pearson correlation of a neuron's activations with a concept's presence.

    .. math::
        r(k, m) = \frac{\sum_i (a_{ik} - \bar a_k)(c_{im} - \bar c_m)}
        {\sqrt{\sum_i (a_{ik} - \bar a_k)^2 \sum_i (c_{im} - \bar c_m)^2}}

    It passes both sanity checks of NeuronEval: it falls when a concept misses half of the images it should name, and
    when it names twice as many. It is the exact coefficient, without the factor :math:`(N-1)/N` of NeuronEval's code.
    Constant neurons and constant concepts get NaN.

    Args:
        max_bytes: See `PairwiseMetric`; its preparation is so cheap that small blocks lose nothing.

    Raises:
        ValueError:
            If ``max_bytes`` is not positive.

    Example:
        >>> import torch
        >>> activations = torch.tensor([[0.0], [1.0], [2.0]])
        >>> presence = torch.tensor([[0.1, 0.9], [0.5, 0.5], [0.9, 0.1]])
        >>> PearsonCorrelation().score(activations, presence).round(decimals=6).tolist()
        [[1.0, -1.0]]

    References:
        Oikarinen, Yan and Weng, Evaluating Neuron Explanations, ICML 2025. https://arxiv.org/abs/2506.05774

    """

    score_range = (-1.0, 1.0)
    passes_missing_labels = True
    passes_extra_labels = True

    max_bytes: int = 2**26

    def _neuron_rows(self, rows: Tensor) -> Tensor:
        return standardised_rows(rows)

    def _concept_rows(self, rows: Tensor) -> Tensor:
        return standardised_rows(rows)

    def _formula(self, sums: PairSums) -> Tensor:
        return sums.product.clamp(-1, 1)


def standardised_rows(rows: Tensor) -> Tensor:
    """Return rows with mean zero and norm one, NaN where they are constant; see `standardised_columns`.

    Args:
        rows: Shape ``(rows, images)``.

    Example:
        >>> import torch
        >>> standardised_rows(torch.tensor([[1.0, 3.0], [5.0, 5.0]]))
        tensor([[-0.7071,  0.7071],
                [    nan,     nan]], dtype=torch.float64)

    """
    return standardised_columns(rows.T).T
