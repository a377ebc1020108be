"""Walls between an encoder and the training that runs around it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch


@contextmanager
def isolated_loading() -> Iterator[None]:
    """Build a model on the CPU in float32, whatever defaults the caller has set, and leave the random state as it is.

    Constructors draw random numbers before the weights arrive; a training that loads an encoder must not change by it.

    Example:
        >>> state = torch.get_rng_state()
        >>> with isolated_loading():
        ...     _ = torch.nn.Linear(2, 2)
        >>> torch.equal(torch.get_rng_state(), state)
        True

    """
    dtype = torch.get_default_dtype()
    cpu = torch.device("cpu")
    with torch.random.fork_rng(devices=[]), torch.inference_mode(mode=False), torch.autocast("cpu", enabled=False), cpu:
        torch.set_default_dtype(torch.float32)
        try:
            yield
        finally:
            torch.set_default_dtype(dtype)


@contextmanager
def isolated_inference(device: torch.device) -> Iterator[None]:
    """Run a model without gradients and without the caller's autocast; tensors made inside are ordinary ones.

    Tensors made in inference mode could never again take part in a computation that autograd records.

    Args:
        device: Where the model runs.

    Example:
        >>> with torch.inference_mode(), isolated_inference(torch.device("cpu")):
        ...     torch.ones(1).is_inference()
        False

    """
    with torch.inference_mode(mode=False), torch.no_grad(), torch.autocast(device.type, enabled=False):
        yield


@contextmanager
def quiet_root_logger(package: str) -> Iterator[None]:
    """Keep a package from configuring the root logger and from writing errors to it that are raised as well.

    The module-level functions of ``logging`` install a handler on the root logger as a side effect.

    Args:
        package: Name of the folder that holds the package's files.

    """
    root = logging.getLogger()
    placeholder = logging.NullHandler()

    def keep(record: logging.LogRecord) -> bool:
        return record.levelno < logging.ERROR or Path(record.pathname).parent.name != package

    root.addHandler(placeholder)
    root.addFilter(keep)
    try:
        yield
    finally:
        root.removeFilter(keep)
        root.removeHandler(placeholder)
