"""Run a function in several processes that form a gloo group, or in threads that stand for processes."""

import json
import os
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor


@dataclass(frozen=True)
class Group:
    """Processes that do not know each other yet, and a folder for their results."""

    world_size: int
    folder: str
    port: int
    timeout: float

    def start(self, function: Callable[[int], Any]) -> mp.ProcessContext:
        """Call ``function(rank)`` in each process."""
        return mp.start_processes(self._run, args=(function,), nprocs=self.world_size, start_method="fork", join=False)

    def results(self) -> list[Any]:
        """Return what the processes have returned, ``None`` for those that have not."""
        files = [Path(self.folder) / str(rank) for rank in range(self.world_size)]
        return [json.loads(file.read_text()) if file.exists() else None for file in files]

    def _run(self, rank: int, function: Callable[[int], Any]) -> None:
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(self.port))
        timeout = timedelta(seconds=self.timeout)
        dist.init_process_group("gloo", rank=rank, world_size=self.world_size, timeout=timeout)
        try:
            (Path(self.folder) / str(rank)).write_text(json.dumps(function(rank)))
        finally:
            dist.destroy_process_group()


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread in this process and those that are forked from it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def run_in_processes(function: Callable[[int], Any], world_size: int = 2) -> list[Any]:
    """Call ``function(rank)`` in each process and return the JSON-able results in the order of the ranks."""
    with tempfile.TemporaryDirectory() as folder:
        group = Group(world_size, folder, _free_port(), timeout=60)
        context = group.start(function)
        while not context.join():
            pass
        return group.results()


def run_until_death(function: Callable[[int], Any], world_size: int = 2, timeout: float = 60) -> list[Any]:
    """Do the same where processes may die or wait longer than ``timeout`` seconds for others.

    The results of processes that have died are ``None``.
    """
    with tempfile.TemporaryDirectory() as folder:
        group = Group(world_size, folder, _free_port(), timeout)
        for process in group.start(function).processes:
            process.join()
        return group.results()


class ThreadWire:
    """Carries bytes between threads that stand for processes.

    Args:
        rank: Which of them this one is.
        slots: What each has handed in; shared by all.
        barrier: Where all meet; shared by all.

    """

    def __init__(self, rank: int, slots: list[Sequence[Tensor]], barrier: threading.Barrier) -> None:
        self.rank = rank
        self.world_size = len(slots)
        self.swaps = 0
        self._slots = slots
        self._barrier = barrier

    def swap(self, outgoing: Sequence[Tensor], lengths: Sequence[int]) -> Sequence[Tensor]:
        """See `lightning_dissect.peers.Wire`."""
        self.swaps += 1
        self._slots[self.rank] = [part.clone() for part in outgoing]
        self._barrier.wait()
        came = [parts[self.rank] for parts in self._slots]
        self._barrier.wait()
        assert list(map(len, came)) == list(lengths)
        return came


def run_in_wired_threads(function: Callable[[ThreadWire], Any], world_size: int) -> list[Any]:
    """Call ``function(wire)`` in threads and return what each returns or raises, in the order of the ranks."""
    slots: list[Sequence[Tensor]] = [[]] * world_size
    barrier = threading.Barrier(world_size, timeout=10)
    with ThreadPoolExecutor(world_size) as pool:
        futures = [pool.submit(function, ThreadWire(rank, slots, barrier)) for rank in range(world_size)]
    return [future.exception() or future.result() for future in futures]


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def processes(number: int) -> dict[str, Any]:
    """Return a Trainer's options for some forked processes, of which none waits for ever."""
    if number == 1:
        return {}
    return {"devices": number, "strategy": DDPStrategy(start_method="fork", timeout=timedelta(seconds=60))}
