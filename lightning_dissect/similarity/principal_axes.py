"""The directions in which image factors vary, and where concepts lie along them."""

from collections.abc import Iterator

import torch
from torch import Tensor


def principal_axes(products: Tensor) -> tuple[Tensor, Tensor]:
    """Return the directions in which image factors vary, strongest last, without those of mere rounding.

    There is one at least, of length zero if nothing varies.

    Args:
        products: Products of the columns of the image factors, shape ``(dimensions, dimensions)``, float64.

    Returns:
        Unit directions, shape ``(dimensions, axes)``, and the lengths of the factors along them, shape ``(axes,)``.

    Example:
        >>> principal_axes(torch.tensor([[4.0, 0.0], [0.0, 0.0]], dtype=torch.float64))[1]
        tensor([2.], dtype=torch.float64)

    """
    strengths, directions = torch.linalg.eigh(products)
    kept = strengths > len(products) * torch.finfo(torch.float64).eps * strengths[-1]
    kept[-1] = True
    return directions[:, kept], strengths[kept].clamp(min=0).sqrt()


def along_axes(concept_factors: Tensor, shift: Tensor, axes: Tensor, max_bytes: int) -> Iterator[tuple[slice, Tensor]]:
    """Yield ranges of concepts and their shifted factors along axes.

    Args:
        concept_factors: Shape ``(concepts, dimensions)``.
        shift: What is subtracted from every concept, shape ``(dimensions,)``, float64.
        axes: Shape ``(dimensions, axes)``, float64.
        max_bytes: Most bytes of a range in float64.

    Yields:
        A range and its coordinates, shape ``(concepts of the range, axes)``, float64.

    """
    concepts, dimensions = concept_factors.shape
    width = max(1, max_bytes // (8 * dimensions))
    for start in range(0, concepts, width):
        block = slice(start, min(start + width, concepts))
        yield block, (concept_factors[block] - shift) @ axes
