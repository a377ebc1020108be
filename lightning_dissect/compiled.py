"""Compiled loops, where numba is installed."""

import importlib
import importlib.util
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from lightning_dissect.threads import numpy_reads

Array = Any
"""A NumPy array, on whose dtype compiled code is specialised."""


def runs_compiled(*tensors: Tensor) -> bool:
    """Return whether compiled loops can read tensors: numba is there and NumPy reads them in place."""
    return numpy_reads(*tensors) and importlib.util.find_spec("numba") is not None


def loops_read(*tensors: Tensor) -> bool:
    """Return whether compiled loops read tensors as they are: they have no half precision."""
    return runs_compiled(*tensors) and all(tensor.dtype != torch.float16 for tensor in tensors)


@cache
def compiled(loop: Callable[..., None], reassociate: bool = False) -> Callable[..., None]:
    """Return a loop over NumPy arrays as machine code that runs without the interpreter's lock.

    Numba is imported at the first call and the machine code is kept on disk where a folder for it can be written. The
    loop itself starts no thread, so that it works in forked processes.

    Args:
        loop: A function of module level that numba can compile.
        reassociate: Whether sums may be taken in another order, which lets them use whole registers.

    Returns:
        The compiled loop.

    """
    numba = importlib.import_module("numba")
    settings = {
        "nogil": True,
        "fastmath": {"contract", "reassoc"} if reassociate else {"contract"},
        "error_model": "numpy",  # a division that could raise keeps a loop from using whole registers
    }
    try:
        machine_code: Callable[..., None] = numba.njit(cache=True, **settings)(loop)
    except RuntimeError:
        machine_code = numba.njit(**settings)(loop)
    return machine_code
