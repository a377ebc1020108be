"""Where the time of a warm report goes, and what each part cannot be faster than on this machine.

Run ``python -m tests.benchmarks.warm_epoch [--size tiny|full] [--json FILE]``. The limits follow from how much a part
has to read or to compute, and from the rates of memory and arithmetic that are measured in the same run.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from lightning_dissect import dissector as dissector_module
from lightning_dissect import labeller
from lightning_dissect.activation_keeper import ActivationKeeper
from lightning_dissect.labelling import LabelTable
from lightning_dissect.similarity.best_concepts import BestConcepts
from lightning_dissect.trust import TrustColumns, UntrainedFloor, measure
from lightning_dissect.trust.permutation import permutation_rounds
from tests.benchmarks.dissection import Size, Validation
from tests.benchmarks.table import BenchmarkTable, environment, stopwatches, write_tables

MODULE = "tests.benchmarks.warm_epoch"
SIZES = {
    "tiny": Size(images=200, neurons=32, concepts=64, dimensions=16),
    "full": Size(images=10_000, neurons=2048, concepts=20_000),
}
TOP_IMAGES = 100
PARTS = {
    "join images": (dissector_module, "exchange_neurons"),
    "top images": (labeller, "top_images"),
    "best concepts": (BestConcepts, "update"),
    "quality and intervals": (measure, "quality_intervals"),
    "permuted scores": (measure, "permuted_scores"),
    "untrained floor": (UntrainedFloor, "explained"),
    "q-values": (TrustColumns, "table"),
    "histograms": (labeller, "activation_histograms"),
    "kept activations": (ActivationKeeper, "add"),
    "records": (LabelTable, "records"),
}


def rates() -> dict[str, float]:
    """Measure what the machine can do a second: bytes read, float64 products in matrices and alone, exponentials."""
    large = torch.ones(2**25)
    few = torch.rand(2**14, dtype=torch.float64)
    square = torch.rand(1500, 1500, dtype=torch.float64)
    room = torch.empty_like(square)
    threads = torch.get_num_threads()
    return {
        "bytes": large.nbytes / _seconds(large.sum),
        "matrix products": square.numel() * len(square) / _seconds(lambda: torch.mm(square, square, out=room)),
        "products": threads * few.numel() / _seconds(lambda: few.mul_(1.0)),
        "exponentials": threads * few.numel() / _seconds(lambda: torch.exp(few)),
    }


def parts(size: Size, similarity: str) -> dict[str, float]:
    """Return the seconds that each part of a warm report takes."""
    validation = Validation(Size(size.images, size.neurons, size.concepts, size.dimensions, similarity))
    for _ in range(2):
        validation.record(), validation.report()
    validation.record()
    spent: dict[str, float] = dict.fromkeys(PARTS, 0.0)
    with stopwatches(PARTS, spent):
        total = validation.report()
    return {**spent, "scores and the rest": total - sum(spent.values()), "all": total}


def limits(size: Size, similarity: str, rate: dict[str, float]) -> dict[str, tuple[str, float]]:
    """Return what bounds each part, and the seconds that it cannot go below."""
    held = 4.0 * size.images * size.neurons
    pairs = size.neurons * size.concepts
    scores = {
        "correlation": (
            "matrix products",
            (size.images + size.concepts) * size.neurons * size.dimensions / rate["matrix products"],
        ),
        "soft_wpmi": (
            "products of factors and exponentials",
            min(TOP_IMAGES, size.images) * pairs / rate["products"]
            + size.images * size.concepts / rate["exponentials"],
        ),
    }
    bound, least = scores[similarity]
    return {
        "join images": ("memory", 2 * held / rate["bytes"]),
        "top images": ("memory", held / rate["bytes"]),
        "scores and the rest": (bound, least),
        "permuted scores": (bound, permutation_rounds(size.neurons) * least),
        "best concepts": ("memory", 8 * pairs / rate["bytes"]),
        "quality and intervals": ("memory", 5 * 2 * held / rate["bytes"]),
    }


def profile(size: Size, similarity: str, rate: dict[str, float]) -> BenchmarkTable:
    """Measure every part of a warm report against its limit."""
    table = BenchmarkTable(
        f"A warm report by {similarity}: {size.neurons} neurons x {size.concepts} concepts x {size.images} images",
        environment(),
    )
    found, bounds = parts(size, similarity), limits(size, similarity, rate)
    for part, seconds in found.items():
        row: dict[str, object] = {"part": part, "seconds": seconds, "share": seconds / found["all"]}
        if part in bounds:
            bound, least = bounds[part]
            row |= {"bound by": bound, "limit s": least, "seconds / limit": seconds / least}
        table.add(**row)
    return table


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=list(SIZES), default="full")
    parser.add_argument("--json", type=Path, help="file to write what was measured to")
    options = parser.parse_args(arguments)
    rate = rates()
    speeds = BenchmarkTable("What the machine can do a second, in units of 1e9", environment())
    speeds.add(**{name: value / 1e9 for name, value in rate.items()})
    tables = [speeds, *(profile(SIZES[options.size], name, rate) for name in ("correlation", "soft_wpmi"))]
    print(*tables, sep="\n\n", end="\n\n")  # noqa: T201
    if options.json:
        write_tables(options.json, tables)


def _seconds(call: Callable[[], object]) -> float:
    call()
    spent = []
    for _ in range(20):
        start = time.perf_counter()
        call()
        spent.append(time.perf_counter() - start)
    return min(spent)


if __name__ == "__main__":
    main()
