"""The only place that knows ranks; without a process group every function is the single-process answer."""

from typing import Any, TypeVar

import torch.distributed as dist

T = TypeVar("T")


def _active() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def rank() -> int:
    """Return the rank of this process, 0 without a process group."""
    return dist.get_rank() if _active() else 0


def world_size() -> int:
    """Return the number of processes, 1 without a process group."""
    return dist.get_world_size() if _active() else 1


def gather(value: T) -> list[T] | None:
    """Bring one picklable value per rank to rank 0. Every rank must call it.

    Args:
        value: This rank's value.

    Returns:
        The values in the order of the ranks on rank 0, ``None`` elsewhere.

    """
    if not _active():
        return [value]
    values: list[Any] | None = [None] * world_size() if rank() == 0 else None
    dist.gather_object(value, values, dst=0)
    return values


def all_gather(value: T) -> list[T]:
    """Bring one small picklable value per rank to every rank. Every rank must call it.

    Args:
        value: This rank's value.

    Returns:
        The values in the order of the ranks.

    """
    if not _active():
        return [value]
    values: list[Any] = [None] * world_size()
    dist.all_gather_object(values, value)
    return values


def broadcast(value: T) -> T:
    """Send rank 0's picklable value to every rank. Every rank must call it.

    Args:
        value: The value on rank 0; what other ranks pass is ignored.

    Returns:
        Rank 0's value.

    """
    if not _active():
        return value
    values: list[Any] = [value]
    dist.broadcast_object_list(values, src=0)
    return values[0]  # type: ignore[no-any-return]
