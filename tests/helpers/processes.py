"""Run a function in several processes that form a gloo group."""

import json
import os
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch.distributed as dist
import torch.multiprocessing as mp


def run_in_processes(function: Callable[[int], Any], world_size: int = 2) -> list[Any]:
    """Call ``function(rank)`` in each process and return the JSON-able results in the order of the ranks."""
    with tempfile.TemporaryDirectory() as folder:
        mp.start_processes(
            _run, args=(function, world_size, _free_port(), folder), nprocs=world_size, start_method="fork"
        )
        return [json.loads((Path(folder) / str(rank)).read_text()) for rank in range(world_size)]


def _run(rank: int, function: Callable[[int], Any], world_size: int, port: int, folder: str) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    dist.init_process_group("gloo", rank=rank, world_size=world_size)
    try:
        (Path(folder) / str(rank)).write_text(json.dumps(function(rank)))
    finally:
        dist.destroy_process_group()


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])
