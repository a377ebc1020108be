"""The default process group; without one every function is the single-process answer."""

import logging
import time
from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor

from lightning_dissect.peers import Peers

WAIT_SECONDS = 60.0
"""After how long a waiting process says so, and how often it says so again."""

_LONGEST_PAUSE = 0.01

logger = logging.getLogger(__name__)


def in_step(what: str) -> Peers:
    """Begin work that all processes do together: if one fails, all fail.

    Args:
        what: The work, in a few words, for messages.

    Returns:
        The processes of the default group, or this one alone without a group, as a context manager.

    Example:
        >>> with in_step("labelling layer1") as peers:
        ...     peers.rank, peers.world_size, peers.broadcast("cat")
        (0, 1, 'cat')

    """
    return Peers(what, _GroupWire(what))


def rank() -> int:
    """Return the rank of this process, 0 without a process group."""
    return dist.get_rank() if _active() else 0


def world_size() -> int:
    """Return the number of processes, 1 without a process group."""
    return dist.get_world_size() if _active() else 1


class _GroupWire:
    """The default process group, or this process alone without one."""

    def __init__(self, what: str) -> None:
        self.rank = rank()
        self.world_size = world_size()
        self._what = what

    def swap(self, outgoing: Sequence[Tensor], lengths: Sequence[int]) -> Sequence[Tensor]:
        device = device_of(dist.get_backend_config())
        sent = torch.cat(list(outgoing)).to(device)
        came = torch.empty(sum(lengths), dtype=torch.uint8, device=device)
        work = dist.all_to_all_single(came, sent, list(lengths), [len(part) for part in outgoing], async_op=True)
        if work is not None:
            self._wait(work)
        return torch.split(came.cpu(), list(lengths))

    def _wait(self, work: dist.Work) -> None:
        began, told, pause = time.monotonic(), 0, 1e-4
        while not work.is_completed():
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            if time.monotonic() - began > (told + 1) * WAIT_SECONDS:
                told += 1
                message = "rank %d has waited %g s for the other processes in: %s"
                logger.warning(message, self.rank, told * WAIT_SECONDS, self._what)
        work.wait()


def device_of(backends: str) -> torch.device:
    """Return where a process group takes tensors: the CPU if it can, else its accelerator.

    Args:
        backends: Devices and their backends, such as ``"cpu:gloo,cuda:nccl"``.

    Example:
        >>> device_of("cpu:gloo,cuda:nccl"), device_of("cuda:nccl")
        (device(type='cpu'), device(type='cuda'))

    """
    devices = [backend.split(":")[0] for backend in backends.split(",")]
    return torch.device("cpu" if "cpu" in devices else devices[0])


def _active() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
