"""The largest values of each row, exact under ties."""

import torch
from torch import Tensor


def top_positions(rows: Tensor, k: int) -> Tensor:
    """Return where each row is largest: a selection instead of a sort of everything.

    Equal values count in the order of their positions, so the answer is the same on every device.

    Args:
        rows: Shape ``(rows, columns)``, without NaN.
        k: Positions per row, at most as many as there are columns.

    Returns:
        Positions in descending order of the values, shape ``(rows, k)``, int64.

    Example:
        >>> top_positions(torch.tensor([[1.0, 2.0, 1.0]]), k=2)
        tensor([[1, 0]])

    """
    best = rows.topk(min(k + 1, rows.shape[1]), dim=1)
    positions = best.indices[:, :k]
    tied = (best.values[:, k - 1] == best.values[:, -1]).nonzero()[:, 0] if rows.shape[1] > k else positions[:0, 0]
    if len(tied):
        positions = positions.index_copy(
            0, tied, _first_at_edge(rows[tied], best.values[tied, :k], best.indices[tied, :k])
        )
    positions = positions.sort(dim=1).values
    by_value = rows.gather(1, positions).argsort(dim=1, descending=True, stable=True)
    return positions.gather(1, by_value)


def _first_at_edge(rows: Tensor, values: Tensor, positions: Tensor) -> Tensor:
    """Replace those of the chosen ``positions`` that share the lowest of their ``values`` by the first ones that do."""
    edge = values[:, -1:]
    countdown = torch.arange(rows.shape[1], 0, -1, dtype=torch.int32, device=rows.device)
    first = torch.where(rows == edge, countdown, 0).topk(values.shape[1], dim=1).indices
    above = values > edge
    place = torch.arange(values.shape[1], device=rows.device) - above.sum(dim=1, keepdim=True)
    return torch.where(above, positions, first.gather(1, place.clamp_min(0)))
