"""Inner products and norms of columns in float64, without a float64 copy of all of them."""

import torch
from torch import Tensor


def add_products(left: Tensor, right: Tensor, sums: Tensor, max_bytes: int) -> None:
    """Add the inner products of columns to sums.

    Args:
        left: Shape ``(images, left)``, any floating dtype.
        right: Shape ``(images, right)``, any floating dtype.
        sums: What is added to in place, shape ``(left, right)``, float64.
        max_bytes: Most bytes that the float64 copies of some images may take.

    Example:
        >>> sums = torch.zeros(1, 1, dtype=torch.float64)
        >>> add_products(torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0], [4.0]]), sums, max_bytes=1)
        >>> sums.item()
        11.0

    """
    images = max(1, max_bytes // (8 * (left.shape[1] + right.shape[1])))
    for rows in zip(torch.split(left, images), torch.split(right, images), strict=True):
        wide_left, wide_right = (part.to(torch.float64) for part in rows)
        sums.addmm_(wide_left.T, wide_right)


def column_norms(values: Tensor, max_bytes: int) -> Tensor:
    """Return the Euclidean norm of every column.

    Args:
        values: Shape ``(images, columns)``, any floating dtype.
        max_bytes: Most bytes that the float64 copy of some images may take.

    Returns:
        Shape ``(columns,)``, float64.

    Example:
        >>> column_norms(torch.tensor([[3.0], [4.0]]), max_bytes=1).item()
        5.0

    """
    images = max(1, max_bytes // (8 * max(1, values.shape[1])))
    squares = torch.zeros(values.shape[1], dtype=torch.float64, device=values.device)
    for rows in torch.split(values, images):
        squares += torch.linalg.vector_norm(rows, dim=0, dtype=torch.float64).square_()
    return squares.sqrt_()
