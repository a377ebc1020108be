"""A concept matrix as the product of image factors and concept factors."""

import torch
from torch import Tensor

from lightning_dissect.concept_matrix import ConceptMatrix
from lightning_dissect.similarity.concept_space import ConceptSpace


def in_factors(concept_matrix: ConceptMatrix, max_rank: int, seed: int, max_bytes: int) -> ConceptMatrix:
    """Return factors whose product is a concept matrix, but for the means of its rows and columns.

    An encoder's matrix has factors, of no more dimensions than there are images. A whole one of few concepts or images
    is a factor itself; any other gets the basis of a `ConceptSpace`.

    Args:
        concept_matrix: Image-text similarities, shape ``(images, concepts)``.
        max_rank: Most dimensions of the factors of a whole matrix.
        seed: Seed of the sketch.
        max_bytes: Most bytes of a block of columns.

    Example:
        >>> factors = in_factors(ConceptMatrix.of(torch.ones(5, 3)), max_rank=4, seed=0, max_bytes=2**20)
        >>> factors.image_factors.shape, factors.concept_factors.shape
        (torch.Size([5, 3]), torch.Size([3, 3]))

    """
    images, concepts = concept_matrix.shape
    if concept_matrix.is_factored:
        has_few_images = images < concept_matrix.image_factors.shape[1]
        return _by_images(concept_matrix.columns(slice(None))) if has_few_images else concept_matrix
    whole = concept_matrix.whole
    if concepts <= max_rank:
        return ConceptMatrix(whole, torch.eye(concepts).to(whole))
    if images <= max_rank:
        return _by_images(whole)
    space = ConceptSpace(whole, max_rank, seed, max_bytes)
    return ConceptMatrix(space.basis, space.coordinates.T)


def _by_images(whole: Tensor) -> ConceptMatrix:
    """Return factors with one dimension per image."""
    return ConceptMatrix(torch.eye(len(whole)).to(whole), whole.T)
