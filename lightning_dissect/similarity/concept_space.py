"""The space in which a concept matrix varies: centred columns in few dimensions, and what they have in common."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

NEGLIGIBLE = 1e-5
"""A direction this much weaker than the strongest is rounding of float32 similarities."""


class ConceptSpace:
    """A concept matrix without the means of its rows and columns, in an orthonormal basis of few dimensions.

    The float64 columns are made block by block and never whole; what is kept is the basis and their coordinates.

    The basis is sought in a random part of the columns first, which an encoder of few dimensions does not leave. Only
    if some column does, all columns are sketched.

    Args:
        concept_matrix: Image-text similarities, shape ``(images, concepts)``.
        max_rank: Most dimensions. An encoder with fewer is spanned; otherwise the basis is that of a random sketch.
        seed: Seed of the sketch.
        max_bytes: Most bytes of a block of columns.

    Attributes:
        basis: Orthonormal columns, shape ``(images, dimensions)``, float64.
        coordinates: The columns of the matrix in the basis, shape ``(dimensions, concepts)``, float64.

    """

    def __init__(self, concept_matrix: Tensor, max_rank: int, seed: int, max_bytes: int) -> None:
        images, self._num_concepts = concept_matrix.shape
        self._matrix = concept_matrix
        rows = torch.split(concept_matrix, max(1, max_bytes // (8 * self._num_concepts)))
        self._row_means = torch.cat([row.mean(dim=1, keepdim=True, dtype=torch.float64) for row in rows])
        largest = max(float(bound.abs()) for bound in torch.aminmax(concept_matrix))
        self._rounding = 1e-12 * largest * math.sqrt(images)
        self._width = max(1, max_bytes // (8 * images))
        self._span(max_rank, torch.Generator().manual_seed(seed))

    def blocks(self, concepts: Tensor | None = None) -> Iterator[tuple[slice, Tensor]]:
        """Yield where each block of columns stands and its centred columns, shape ``(images, columns)``.

        A column that is within rounding of zero is zero.

        Args:
            concepts: Only these columns; the places then count in them. All columns by default.

        """
        total = self._num_concepts if concepts is None else len(concepts)
        for start in range(0, total, self._width):
            block = slice(start, min(start + self._width, total))
            columns = self._matrix[:, block if concepts is None else concepts[block]] - self._row_means
            columns -= columns.mean(dim=0)
            columns[:, torch.linalg.vector_norm(columns, dim=0) <= self._rounding] = 0.0
            yield block, columns

    def _project(self) -> Tensor:
        """Compute the coordinates of all columns in the basis and return the squared norm of each column."""
        self.coordinates = self._row_means.new_empty(self.basis.shape[1], self._num_concepts)
        energies = self._row_means.new_empty(self._num_concepts)
        for block, columns in self.blocks():
            self.coordinates[:, block] = self.basis.T @ columns
            energies[block] = torch.linalg.vector_norm(columns, dim=0).square_()
        return energies

    def _span(self, max_rank: int, generator: torch.Generator) -> None:
        """Find a basis in a growing part of the columns, and in mixtures of all if they have more dimensions."""
        order = torch.randperm(self._num_concepts, generator=generator).to(self._matrix.device)
        for rank in (max_rank // 4, max_rank // 2, max_rank):
            if not rank:
                continue
            part = order[:rank].sort().values
            self.basis = _orthonormal(torch.cat([columns for _, columns in self.blocks(part)], dim=1))
            if self.basis.shape[1] == rank < self._num_concepts:
                continue
            energies = self._project()
            outside = energies - torch.linalg.vector_norm(self.coordinates, dim=0).square()
            if (outside <= NEGLIGIBLE**2 * energies.mean()).all():
                return
        mixtures = self._row_means.new_zeros(len(self._matrix), max_rank)
        for _, columns in self.blocks():
            weights = torch.randn(columns.shape[1], max_rank, dtype=torch.float64, generator=generator)
            mixtures.addmm_(columns, weights.to(columns.device))
        self.basis = _orthonormal(mixtures)
        self._project()


def _orthonormal(columns: Tensor) -> Tensor:
    """Return an orthonormal basis of columns without directions that are mere rounding, at least of one dimension.

    Eigenvectors of the products of the columns, made orthogonal again by a Cholesky factor: matrix products where a
    Householder decomposition would be several times slower.
    """
    strengths, directions = torch.linalg.eigh(columns.T @ columns)
    kept = strengths > NEGLIGIBLE**2 * strengths[-1]
    if not kept.any():
        return torch.eye(len(columns), 1).to(columns)
    basis = columns @ (directions[:, kept] / strengths[kept].sqrt())
    factor = torch.linalg.cholesky(basis.T @ basis)
    orthonormal: Tensor = torch.linalg.solve_triangular(factor.T, basis, upper=True, left=False)
    return orthonormal
