"""Cosine of cubed activations and concept similarities."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_dissect.checks import check_positive, check_score_inputs
from lightning_dissect.similarity.base import SIMILARITIES
from lightning_dissect.similarity.inner_product import inner_products


@SIMILARITIES.register("cosine_cubed")
@dataclass(frozen=True)
class CosineCubed:
    r"""Cosine over images of centred and cubed columns, which gives the most active images most of the say.

    .. math::
        \text{score}(k, m) = \frac{\tilde a_k^\top \tilde P_m}
        {\max(\lVert \tilde a_k \rVert, \delta) \, \max(\lVert \tilde P_m \rVert, \delta)}, \qquad
        \tilde x = (x - \bar x)^3

    Independent of the other neurons in the call. The floor :math:`\delta` pulls concepts that hardly tell the images
    apart towards 0. Constant and non-finite neurons get NaN, concepts that are the same everywhere get 0.

    Args:
        min_norm: Floor :math:`\delta` of a column's norm.
        max_bytes: Most bytes that a float64 copy of some concepts may take.

    Raises:
        ValueError:
            If an argument is not positive.

    Example:
        >>> concept_matrix = torch.eye(4)
        >>> CosineCubed().score(concept_matrix, concept_matrix).argmax(dim=1)
        tensor([0, 1, 2, 3])

    References:
        Oikarinen and Weng, CLIP-Dissect, ICLR 2023, section 3.2. https://arxiv.org/abs/2204.10965

    """

    min_norm: float = 1e-3
    max_bytes: int = 2**26

    def __post_init__(self) -> None:
        for name in ("min_norm", "max_bytes"):
            check_positive(name, getattr(self, name))

    def score(self, activations: Tensor, concept_matrix: Tensor) -> Tensor:
        """Score neurons against concepts; see `Similarity.score`."""
        check_score_inputs(activations, concept_matrix)
        return inner_products(activations, concept_matrix, self._cubed_columns, self.max_bytes)

    def _cubed_columns(self, values: Tensor) -> Tensor:
        cubed = (values - values.mean(dim=0)) ** 3
        norms: Tensor = torch.linalg.vector_norm(cubed, dim=0)
        return cubed / norms.clamp(min=self.min_norm)
