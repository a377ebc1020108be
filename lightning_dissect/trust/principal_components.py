"""The few directions over images in which many features vary most."""

import torch
from torch import Tensor

from lightning_dissect.similarity import CrossProducts, live_neurons
from lightning_dissect.standardise import standardised_columns

_STEPS = 12
"""Products with the matrix that the subspace is made of: leading directions of spectra that fall off are exact."""


def principal_components(features: Tensor, count: int, max_bytes: int = 2**24) -> Tensor:
    """Return the directions over images in which standardised features vary most.

    Args:
        features: Shape ``(images, features)``; constant and non-finite ones do not count.
        count: Most components.
        max_bytes: Most bytes that float64 copies of some images may take where there are more images than features.

    Returns:
        Orthonormal centred columns, strongest first, shape ``(images, components)``, float64; fewer than ``count``
        where the features have fewer dimensions.

    Example:
        >>> principal_components(torch.tensor([[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]]), count=2).abs()
        tensor([[0.7071],
                [0.0000],
                [0.7071]], dtype=torch.float64)

    """
    live = live_neurons(features)
    columns = features if live.all() else features[:, live]
    images, width = columns.shape
    if images <= width:
        columns = standardised_columns(columns)
        return _leading(columns @ columns.T, count, 1e-10 * width)[1]
    sums = CrossProducts.of(columns, columns, max_bytes)
    norms = sums.energies.sqrt()
    strengths, vectors = _leading(sums.products / (norms * norms[:, None]), count, 1e-10 * width)
    weights = vectors / norms[:, None] / strengths.sqrt()
    rows = torch.split(columns, max(1, max_bytes // (8 * max(1, width))))
    return torch.cat([(part - sums.means) @ weights for part in rows])


def _leading(matrix: Tensor, count: int, negligible: float) -> tuple[Tensor, Tensor]:
    """Return the largest eigenvalues of a positive matrix, descending, and their vectors.

    A large matrix is looked at in the span of its products with some random vectors (block Krylov; Musco and Musco,
    2015), which holds the leading directions.
    """
    if len(matrix) <= 2 * count * _STEPS:
        strengths, vectors = torch.linalg.eigh(matrix)
    else:
        basis = _krylov_basis(matrix, 2 * count)
        strengths, vectors = torch.linalg.eigh(basis.T @ matrix @ basis)
        vectors = basis @ vectors
    kept = (strengths > negligible).nonzero().flatten().flip(0)[:count]
    return strengths[kept], vectors[:, kept]


def _krylov_basis(matrix: Tensor, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    block = torch.randn(len(matrix), width, dtype=torch.float64, generator=generator).to(matrix)
    basis = block[:, :0]
    for _ in range(_STEPS):
        block = matrix @ block
        block = torch.linalg.qr(block - basis @ (basis.T @ block)).Q
        basis = torch.cat([basis, block], dim=1)
    orthonormal: Tensor = torch.linalg.qr(basis).Q
    return orthonormal
