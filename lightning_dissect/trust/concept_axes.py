"""The axes along which all concepts together vary over the images, made once for all layers."""

import torch
from torch import Tensor

from lightning_dissect.concept_matrix import ConceptMatrix
from lightning_dissect.similarity import CrossProducts
from lightning_dissect.similarity.concept_factors import in_factors
from lightning_dissect.similarity.principal_axes import principal_axes


class ConceptAxes:
    r"""The singular axes of a concept matrix, found from its factors without making it whole.

    The matrix :math:`B` is taken without the means of its rows and columns and scaled so that an image has squared norm
    1 in the mean. With its singular axes :math:`U` over images and their strengths :math:`S`,
    :math:`B B^\top = U S U^\top`. Both :math:`U` and what a neuron has along it follow from products with the image
    factors :math:`F`: :math:`S^{1/2} U^\top a = T^\top F^\top a`.

    Args:
        concept_matrix: Image-text similarities, shape ``(images, concepts)``.
        max_rank: Most dimensions of a matrix that is not in factors; see `Correlation`.
        seed: Seed of the sketch that a larger one needs.
        max_bytes: Most bytes that float64 copies may take.

    Attributes:
        image_factors: Shape ``(images, dimensions)``.
        towards: What :math:`T` is above, shape ``(dimensions, axes)``, float64.
        strengths: Squared lengths of the axes, ascending, shape ``(axes,)``, float64; they sum to the number of images.

    Example:
        >>> axes = ConceptAxes(torch.eye(4))
        >>> axes.strengths.round(decimals=6)
        tensor([1.3333, 1.3333, 1.3333], dtype=torch.float64)

    """

    def __init__(
        self, concept_matrix: Tensor | ConceptMatrix, max_rank: int = 1536, seed: int = 0, max_bytes: int = 2**24
    ) -> None:
        matrix = ConceptMatrix.of(concept_matrix)
        factors = in_factors(matrix, max_rank, seed, max_bytes)
        self.shape = matrix.shape
        self.max_bytes = max_bytes
        self.image_factors, concepts = factors.image_factors, factors.concept_factors
        directions, lengths = principal_axes(
            CrossProducts.of(self.image_factors, self.image_factors, max_bytes).products
        )
        stretched = directions * lengths
        covariance = stretched.T @ CrossProducts.of(concepts, concepts, max_bytes).products @ stretched
        energy = covariance.trace()
        strengths, axes = torch.linalg.eigh(covariance * (matrix.shape[0] / energy.where(energy > 0, torch.inf)))
        self.strengths = strengths.clamp_(min=0)
        self.towards = (directions / lengths.where(lengths > 0, 1.0)) @ (axes * self.strengths.sqrt())
