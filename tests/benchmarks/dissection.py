"""What a whole dissection costs, first and warm, in time and memory, against its size.

Run ``python -m tests.benchmarks.dissection [--size tiny|full] [--json FILE]``. A real recording of a small network with
as many neurons as asked for, with embeddings of as many dimensions as CLIP's; the peak is the operating system's, of a
process of its own, beyond what the process held before the dissection began.
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from lightning_dissect.dissector import Dissector
from tests.benchmarks.table import (
    BenchmarkTable,
    environment,
    exponent,
    in_subprocess,
    peak_bytes,
    resident_bytes,
    write_tables,
)

MODULE = "tests.benchmarks.dissection"
SIDE = 4


@dataclass(frozen=True)
class Size:
    """How much is dissected, in how many bytes, and by which similarity."""

    images: int
    neurons: int
    concepts: int
    dimensions: int = 512
    similarity: str = "correlation"
    max_bytes: int = 2 * 2**30


SIZES = {
    "tiny": (Size(images=200, neurons=32, concepts=64, dimensions=16),),
    "full": tuple(
        replace(Size(images=50_000, neurons=4000, concepts=20_000), similarity=similarity)
        for similarity in ("correlation", "soft_wpmi")
    ),
}
CURVES = {
    "tiny": Size(images=200, neurons=32, concepts=64, dimensions=16),
    "full": Size(images=8000, neurons=1000, concepts=8000),
}


class RandomEncoder:
    """Embeds by a fixed random projection of the pixels, and texts by a seed of their own."""

    temperature = 1.0

    def __init__(self, dimensions: int) -> None:
        self.projection = torch.randn(3 * SIDE * SIDE, dimensions, generator=torch.Generator().manual_seed(0))

    def encode_images(self, images: Tensor) -> Tensor:
        mixed = torch.sin(images.flatten(1).float() / 50 @ self.projection)
        return nn.functional.normalize(mixed, dim=1)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        dimensions = self.projection.shape[1]
        rows = [torch.randn(dimensions, generator=torch.Generator().manual_seed(int(text))) for text in texts]
        return nn.functional.normalize(torch.stack(rows), dim=1)

    def fingerprint(self) -> str:
        return "random"


class Validation:
    """A network of one wide layer and the images of its validation."""

    def __init__(self, size: Size) -> None:
        generator = torch.Generator().manual_seed(1)
        self.images = torch.randint(256, (size.images, 3, SIDE, SIDE), dtype=torch.uint8, generator=generator)
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, size.neurons), nn.Tanh())
        vocabulary = list(map(str, range(size.concepts)))
        self.dissector = Dissector(
            ["2"], vocabulary, RandomEncoder(size.dimensions), size.similarity, cache=False, max_bytes=size.max_bytes
        )

    def batches(self) -> Iterator[Tensor]:
        return iter(torch.arange(len(self.images)).split(256))

    def record(self) -> float:
        """Run the network on all images and return the seconds that it took."""
        start = time.perf_counter()
        with torch.inference_mode(), self.dissector.record(self.model, image_reader=lambda _: None):
            for sample_ids in self.batches():
                images = self.images[sample_ids]
                with self.dissector.batch(images, sample_ids):
                    self.model(images.float() / 128 - 1)
        return time.perf_counter() - start

    def report(self) -> float:
        """Label what was recorded and return the seconds that it took."""
        start = time.perf_counter()
        self.dissector.report()
        return time.perf_counter() - start


def measure(size: Size) -> dict[str, float]:
    """Return seconds of a first and a warm dissection, and the bytes held at most beyond those held before."""
    warmed = Validation(Size(images=64, neurons=8, concepts=80, dimensions=16, similarity=size.similarity))
    warmed.record(), warmed.report()
    validation = Validation(size)
    before = resident_bytes()
    first_recording, first = validation.record(), validation.report()
    recording, warm = validation.record(), validation.report()
    return {
        "first recording s": first_recording,
        "first report s": first,
        "recording s": recording,
        "warm report s": warm,
        "peak bytes": peak_bytes() - before,
    }


def alone(size: Size) -> dict[str, float]:
    """Measure in a process of its own."""
    found: dict[str, float] = in_subprocess(MODULE, "--one", json.dumps(asdict(size)))
    return found


def costs(sizes: Sequence[Size]) -> BenchmarkTable:
    """Measure time and memory at some sizes."""
    table = BenchmarkTable("One dissection, first and warm", environment())
    for size in sizes:
        found = alone(size)
        share = found.pop("peak bytes") / size.max_bytes
        table.add(**asdict(size), **found, **{"peak / max_bytes": share})
        print(table.rows[-1], flush=True)  # noqa: T201
    return table


def growth(size: Size) -> tuple[BenchmarkTable, dict[str, list[tuple[int, float]]]]:
    """Measure how a warm report grows with images, neurons and concepts, each halved twice."""
    curves: dict[str, list[tuple[int, float]]] = {}
    table = BenchmarkTable("Exponent of a warm report's cost in size (1 is linear)", environment())
    for similarity in ("correlation", "soft_wpmi"):
        exponents = {}
        for axis in ("images", "neurons", "concepts"):
            points = []
            for divisor in (4, 2, 1):
                smaller = replace(size, similarity=similarity, **{axis: getattr(size, axis) // divisor})
                points.append((getattr(smaller, axis), alone(smaller)["warm report s"]))
            curves[f"{similarity} {axis}"] = points
            exponents[axis] = exponent(*zip(*points, strict=True))
        table.add(similarity=similarity, **exponents)
        print(table.rows[-1], flush=True)  # noqa: T201
    return table, curves


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=list(SIZES), default="full")
    parser.add_argument("--json", type=Path, help="file to write what was measured to")
    parser.add_argument("--one", help="a size as JSON, of which only the numbers are printed")
    options = parser.parse_args(arguments)
    if options.one:
        print(json.dumps(measure(Size(**json.loads(options.one)))))  # noqa: T201
        return
    table = costs(SIZES[options.size])
    slopes, curves = growth(CURVES[options.size])
    print(table, slopes, sep="\n\n")  # noqa: T201
    if options.json:
        write_tables(options.json, [table, slopes], curves=curves)


if __name__ == "__main__":
    main()
