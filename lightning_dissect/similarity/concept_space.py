"""The space in which a concept matrix varies: centred columns in few dimensions, and what they have in common."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

NEGLIGIBLE = 1e-5
"""A direction this much weaker than the strongest is rounding of float32 similarities."""


class ConceptSpace:
    """A concept matrix without the means of its rows and columns, in an orthonormal basis of few dimensions.

    The float64 columns are made block by block and never whole.

    Args:
        concept_matrix: Image-text similarities, shape ``(images, concepts)``.
        max_rank: Most dimensions. With no more images or concepts than that, or an encoder with no more dimensions,
            the basis spans all columns; otherwise it is a random sketch of them.
        seed: Seed of the sketch.
        max_bytes: Most bytes of a block of columns.

    """

    def __init__(self, concept_matrix: Tensor, max_rank: int, seed: int, max_bytes: int) -> None:
        images, self.num_concepts = concept_matrix.shape
        self._matrix = concept_matrix
        self._row_means = concept_matrix.mean(dim=1, keepdim=True, dtype=torch.float64)
        self._rounding = 1e-12 * float(concept_matrix.abs().max()) * math.sqrt(images)
        self._width = max(1, max_bytes // (8 * images))
        self._basis = None if images <= max_rank else self._sketch(min(max_rank, self.num_concepts), seed)

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield where each block of columns stands and its centred columns, shape ``(images, columns)``.

        A column that is within rounding of zero is zero.
        """
        for start in range(0, self.num_concepts, self._width):
            block = slice(start, start + self._width)
            columns = self._matrix[:, block] - self._row_means
            columns -= columns.mean(dim=0)
            norms = torch.linalg.vector_norm(columns, dim=0)
            yield block, columns.where(norms > self._rounding, 0.0)

    def project(self, columns: Tensor) -> Tensor:
        """Express columns in the basis.

        Args:
            columns: Shape ``(images, columns)``.

        Returns:
            Coordinates, shape ``(dimensions, columns)``.

        """
        return columns if self._basis is None else self._basis.T @ columns

    def covariance(self) -> Tensor:
        """Return the products of the dimensions, relative to the mean over images of an image's squared norm.

        Returns:
            Shape ``(dimensions, dimensions)``; zero if no concept differs from the average one.

        """
        images = len(self._matrix)
        dimensions = images if self._basis is None else self._basis.shape[1]
        products = torch.zeros(dimensions, dimensions, dtype=torch.float64, device=self._matrix.device)
        energy = torch.zeros((), dtype=torch.float64, device=self._matrix.device)
        for _, columns in self.blocks():
            coordinates = self.project(columns)
            products.addmm_(coordinates, coordinates.T)
            energy += columns.square().sum()
        return products * (images / energy.where(energy > 0, torch.inf))

    def _sketch(self, rank: int, seed: int) -> Tensor:
        """Return an orthonormal basis of random mixtures of the columns, without directions that are mere rounding."""
        generator = torch.Generator().manual_seed(seed)
        mixtures = torch.zeros(len(self._matrix), rank, dtype=torch.float64, device=self._matrix.device)
        for _, columns in self.blocks():
            weights = torch.randn(columns.shape[1], rank, dtype=torch.float64, generator=generator)
            mixtures.addmm_(columns, weights.to(columns.device))
        basis, triangle = torch.linalg.qr(mixtures)
        strengths = triangle.diagonal().abs()
        spanned: Tensor = basis[:, strengths >= NEGLIGIBLE * strengths.max()]
        return spanned
