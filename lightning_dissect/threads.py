"""Work on ranges in threads that live no longer than the call."""

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch
from torch import Tensor

NUMPY_DTYPES = (torch.float64, torch.float32, torch.float16)


def numpy_reads(*tensors: Tensor) -> bool:
    """Return whether NumPy can read tensors without a copy: they are on the CPU and it has their dtype."""
    return all(tensor.device.type == "cpu" and tensor.dtype in NUMPY_DTYPES for tensor in tensors)


class Rooms:
    """Memory that is asked of the system once and used again, range after range, by as many threads as need it.

    It begins at the border of a cache line, so that vector instructions do not straddle two.

    Args:
        dtype: What it holds.

    Example:
        >>> rooms = Rooms(torch.float32)
        >>> with rooms.one(2, 3) as room:
        ...     place = room.data_ptr()
        >>> with rooms.one(5) as room:
        ...     room.shape, room.data_ptr() == place
        (torch.Size([5]), True)

    """

    def __init__(self, dtype: torch.dtype) -> None:
        self._dtype = dtype
        self._free: list[Tensor] = []

    @contextmanager
    def one(self, *shape: int) -> Iterator[Tensor]:
        """Give a tensor of a shape, with anything in it, for a ``with`` block.

        Args:
            shape: Its sizes.

        """
        size = math.prod(shape)
        held = self._free.pop() if self._free else torch.empty(size, dtype=self._dtype)
        if len(held) < size:
            held = torch.empty(size, dtype=self._dtype)
        yield held[:size].view(shape)
        self._free.append(held)


def even_width(total: int, most: int, multiple: int = 1) -> int:
    """Return the length of ranges that gives all of torch's threads as many of them, so that none waits for another.

    Args:
        total: End of the last range.
        most: Longest range, a multiple of ``multiple``.
        multiple: What the length is a multiple of.

    Example:
        >>> threads = torch.get_num_threads()
        >>> even_width(total=96 * threads, most=40, multiple=8)
        32

    """
    rounds = -(-total // (most * torch.get_num_threads()))
    return max(1, -(-total // (max(1, rounds) * torch.get_num_threads() * multiple))) * multiple


def run_in_threads(task: Callable[[slice], None], total: int, width: int) -> None:
    """Run a task on consecutive ranges, as many at a time as torch has threads.

    The threads live no longer than the call. Every range is computed by one thread, so results do not depend on how
    many there are. Torch's own threads wait for each other after every operation, which is slow on a busy machine;
    these wait once. The task should use NumPy or compiled loops, which release the interpreter's lock.

    Args:
        task: Called with each range.
        total: End of the last range.
        width: Length of a range.

    Example:
        >>> squares = [0] * 5
        >>> run_in_threads(lambda part: squares.__setitem__(part, [i * i for i in range(5)[part]]), total=5, width=2)
        >>> squares
        [0, 1, 4, 9, 16]

    """
    ranges = [slice(start, min(start + width, total)) for start in range(0, total, width)]
    with ThreadPoolExecutor(torch.get_num_threads()) as threads:
        for _ in threads.map(task, ranges):
            pass
