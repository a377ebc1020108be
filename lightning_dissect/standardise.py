"""Columns with mean zero and norm one: the common ground of correlations."""

import torch
from torch import Tensor


def standardised_columns(values: Tensor) -> Tensor:
    """Return float64 columns with mean zero and Euclidean norm one.

    The product of two such matrices holds Pearson correlations. A column whose spread is within rounding of its
    magnitude counts as constant and becomes NaN.

    Args:
        values: Shape ``(images, columns)``, any floating or integer dtype.

    Returns:
        Shape ``(images, columns)``, float64.

    Example:
        >>> x = torch.tensor([[1.0, 5.0], [3.0, 5.0]])
        >>> standardised_columns(x)
        tensor([[-0.7071,     nan],
                [ 0.7071,     nan]], dtype=torch.float64)

    """
    wide = values.to(torch.float64)
    low, high = torch.aminmax(wide, dim=0)
    centred = wide - wide.mean(dim=0)
    norms = torch.linalg.vector_norm(centred, dim=0)
    magnitude = torch.maximum(low.abs(), high.abs()) * len(wide) ** 0.5
    epsilon = torch.finfo(torch.float64).eps * 16
    return centred.div_(torch.where(norms > magnitude * epsilon, norms, torch.nan))
