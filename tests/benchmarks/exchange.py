"""What several processes cost: `python -m tests.benchmarks.exchange [--size tiny|full] [--json FILE]`.

Processes on one machine share its cores and its memory, so their seconds say what the work costs, not what a network
does; bytes are the same anywhere.
"""

import argparse
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_dissect.distributed import in_step
from lightning_dissect.recording.exchange import exchange_neurons, share_of
from lightning_dissect.recording.pooled import PooledActivations
from tests.benchmarks.table import BenchmarkTable, environment, exponent, write_tables
from tests.helpers.processes import run_in_processes

MODULE = "tests.benchmarks.exchange"
WORK_BYTES = 200 * 2**20
EMBEDDING_DIMS = 512
CANDIDATES = 5
LABEL_BYTES = CANDIDATES * 3 * 8
RANKS = {"tiny": (1, 2), "full": (1, 2, 4)}
LAYERS = {"tiny": ((64, 16),), "full": ((10_000, 1000), (10_000, 4000), (50_000, 2000))}
MERGED = {"tiny": (256, 512), "full": (16_000, 64_000, 256_000)}
MERGED_RANKS = 64
REPEATS = 5
MERGED_NEURONS = {"tiny": 128, "full": 4096}


def volume(images: int, neurons: int, ranks: int, embedding_dims: int = EMBEDDING_DIMS) -> dict[str, int]:
    """Return how many bytes the busiest process sends for a layer.

    Args:
        images: Images of all processes together, each seen by one.
        neurons: Neurons of the layer.
        ranks: Number of processes.
        embedding_dims: Numbers in the embedding of an image.

    """
    own_images = -(-images // ranks)
    others = ranks - 1
    return {
        "activations": own_images * (neurons - neurons // ranks) * 4,
        "sample ids": own_images * 8 * others,
        "embeddings": own_images * embedding_dims * 4 * others,
        "labels": -(-neurons // ranks) * LABEL_BYTES if others else 0,
    }


def measure(rank: int, images: int, neurons: int, embedding_dims: int = EMBEDDING_DIMS) -> dict[str, Any]:
    """Label nothing, but exchange all that labelling a layer needs; return seconds and bytes sent."""
    torch.set_num_threads(1)
    found: dict[str, Any] = {"seconds": {}, "bytes": {}}
    with in_step("measuring") as peers:
        sample_ids = torch.arange(images)[rank :: peers.world_size]
        generator = torch.Generator().manual_seed(rank)
        state = PooledActivations()
        state.update(sample_ids, torch.randn(len(sample_ids), neurons, generator=generator))
        embeddings = torch.randn(len(sample_ids), embedding_dims, generator=generator)
        share = share_of(neurons, rank, peers.world_size)
        labels = [np.zeros((share.stop - share.start, CANDIDATES)) for _ in range(3)]
        for name, exchange in {
            "activations": lambda: exchange_neurons(state, peers, WORK_BYTES),
            "embeddings": lambda: peers.all_gather_rows(embeddings),
            "labels": lambda: peers.gather(labels),
        }.items():
            peers.all_gather(None)
            sent, began = peers.bytes_sent, time.perf_counter()
            exchange()
            found["seconds"][name] = time.perf_counter() - began
            found["bytes"][name] = peers.bytes_sent - sent
    return found


def transposing(size: str) -> BenchmarkTable:
    """Measure the exchange of a layer between processes."""
    table = BenchmarkTable("Transposing a layer between processes", environment())
    for images, neurons in LAYERS[size]:
        for ranks in RANKS[size]:
            measured = run_in_processes(partial(measure, images=images, neurons=neurons), ranks)
            sent = max(found["bytes"]["activations"] for found in measured)
            held = images * neurons * 4 / ranks
            table.add(
                images=images,
                neurons=neurons,
                processes=ranks,
                **{f"{name} s": max(found["seconds"][name] for found in measured) for name in measured[0]["seconds"]},
                **{"MB sent per process": sent / 1e6, "sent / held": sent / held},
            )
    return table


class ManyPeers:
    """Stands for rank 0 of many: what the others hand it is there at once.

    Args:
        images: Images of all processes together; every process has equally many.
        neurons: Neurons of the layer.

    """

    rank, world_size = 0, MERGED_RANKS

    def __init__(self, images: int, neurons: int) -> None:
        self._ids = [torch.arange(images)[rank :: self.world_size] for rank in range(self.world_size)]
        share = share_of(neurons, 0, self.world_size)
        self._pieces = [torch.randn(len(ids), share.stop - share.start) for ids in self._ids]
        self._start = 0

    def state(self, neurons: int) -> PooledActivations:
        """Return what rank 0 itself has recorded."""
        state = PooledActivations()
        state.update(self._ids[0], torch.randn(len(self._ids[0]), neurons))
        return state

    def all_gather(self, value: object) -> list[object]:
        """See `lightning_dissect.peers.Peers`."""
        return [value] * self.world_size

    def all_gather_rows(self, rows: Tensor) -> list[Tensor]:
        """See `lightning_dissect.peers.Peers`."""
        return [rows, *self._ids[1:]]

    def all_to_all(self, parts: Sequence[Tensor]) -> list[Tensor]:
        """See `lightning_dissect.peers.Peers`."""
        rows = slice(self._start, self._start + len(parts[0]))
        self._start = rows.stop
        return [parts[0], *[piece[rows] for piece in self._pieces[1:]]]


def merging(size: str) -> BenchmarkTable:
    """Measure what putting the pieces of many processes together costs one of them."""
    neurons, threads = MERGED_NEURONS[size], torch.get_num_threads()
    torch.set_num_threads(1)
    table = BenchmarkTable(f"Merging the pieces of {MERGED_RANKS} processes for the share of one", environment())
    for images in MERGED[size]:
        seconds = []
        for _ in range(REPEATS):
            peers = ManyPeers(images, neurons)
            state = peers.state(neurons)
            began = time.perf_counter()
            exchange_neurons(state, peers, WORK_BYTES)  # type: ignore[arg-type]
            seconds.append(time.perf_counter() - began)
        share = neurons // MERGED_RANKS
        table.add(images=images, neurons=share, seconds=min(seconds), **{"us per image": 1e6 * min(seconds) / images})
    torch.set_num_threads(threads)
    table.rows[-1]["exponent in images"] = exponent(MERGED[size], [float(str(row["seconds"])) for row in table.rows])
    return table


def on_paper(images: int = 1_300_000, neurons: int = 20_000, ranks: int = 512) -> BenchmarkTable:
    """Tell what processes of a cluster would send, beside what rank 0 alone would get if it did the work."""
    title = f"On paper: {images:,} images x {neurons:,} neurons x {ranks} processes x {EMBEDDING_DIMS} dimensions"
    table = BenchmarkTable(title, {"held per process": f"{-(-images // ranks) * neurons * 4 / 1e6:.0f} MB"})
    for name, sent in volume(images, neurons, ranks).items():
        times = "once" if name == "embeddings" else "every validation"
        table.add(what=name, sent=times, **{"MB sent per process": sent / 1e6, "GB sent by all": sent * ranks / 1e9})
    everything = images * neurons * 4 * (ranks - 1) / ranks / 1e9
    table.add(
        what="activations, all to rank 0 instead",
        sent="-",
        **{"GB sent by all": everything, "GB rank 0 gets": everything},
    )
    return table


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=list(LAYERS), default="full")
    parser.add_argument("--json", type=Path, help="file to write what was measured to")
    options = parser.parse_args(arguments)
    tables = []
    for table in (partial(transposing, options.size), partial(merging, options.size), on_paper):
        tables.append(table())
        print(tables[-1], end="\n\n", flush=True)  # noqa: T201
    if options.json:
        write_tables(options.json, tables)


if __name__ == "__main__":
    main()
