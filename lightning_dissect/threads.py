"""Work on ranges in threads that live no longer than the call."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

NUMPY_DTYPES = (torch.float64, torch.float32, torch.float16)


def numpy_reads(*tensors: Tensor) -> bool:
    """Return whether NumPy can read tensors without a copy: they are on the CPU and it has their dtype."""
    return all(tensor.device.type == "cpu" and tensor.dtype in NUMPY_DTYPES for tensor in tensors)


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
