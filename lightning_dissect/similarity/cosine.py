"""Cosine of activations and concept similarities."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_dissect.checks import check_positive, check_score_inputs
from lightning_dissect.similarity.base import SIMILARITIES
from lightning_dissect.similarity.inner_product import inner_products


@SIMILARITIES.register("cosine")
@dataclass(frozen=True)
class Cosine:
    r"""Cosine over images of the activations and the concept matrix, neither of them centred.

    .. math:: \text{score}(k, m) = \frac{a_k^\top P_m}{\lVert a_k \rVert \, \lVert P_m \rVert}

    One matrix product, independent of the other neurons in the call. A neuron with a large mean prefers concepts that
    are similar to every image. Constant and non-finite neurons and concepts that are zero everywhere get NaN.

    Args:
        max_bytes: Most bytes that a float64 copy of some concepts may take.

    Raises:
        ValueError:
            If ``max_bytes`` is not positive.

    Example:
        >>> concept_matrix = torch.eye(4)
        >>> Cosine().score(concept_matrix, concept_matrix).argmax(dim=1)
        tensor([0, 1, 2, 3])

    References:
        Oikarinen and Weng, CLIP-Dissect, ICLR 2023, section 3.2. https://arxiv.org/abs/2204.10965

    """

    max_bytes: int = 2**26

    def __post_init__(self) -> None:
        check_positive("max_bytes", self.max_bytes)

    def score(self, activations: Tensor, concept_matrix: Tensor) -> Tensor:
        """Score neurons against concepts; see `Similarity.score`."""
        check_score_inputs(activations, concept_matrix)
        return inner_products(activations, concept_matrix, _unit_columns, self.max_bytes)


def _unit_columns(values: Tensor) -> Tensor:
    norms: Tensor = torch.linalg.vector_norm(values, dim=0)
    return values / norms
