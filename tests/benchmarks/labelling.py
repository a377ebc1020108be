"""What labelling costs: every similarity against its published form or its matrix product, in time and memory.

Run ``python -m tests.benchmarks.labelling [--size tiny|small|full] [--json FILE]``. Ratios are taken within one run;
what is slow is measured on a sample of neurons and multiplied, which the table says.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from lightning_dissect.concept_matrix import ConceptMatrix
from lightning_dissect.similarity import SIMILARITIES, Scorer, SearchingScorer, Similarity, prepare
from tests.benchmarks.published import SOFT_WPMI, WPMI
from tests.benchmarks.table import (
    BenchmarkTable,
    environment,
    exponent,
    in_subprocess,
    in_turns,
    peak_bytes,
    resident_bytes,
    write_tables,
)

MODULE = "tests.benchmarks.labelling"


@dataclass(frozen=True)
class Size:
    """How much is labelled, how many neurons stand for all where it is slow, and how often it is measured."""

    neurons: int
    concepts: int
    images: int
    dimensions: int
    sample: int
    repeats: int


SIZES = {
    "tiny": Size(neurons=32, concepts=64, images=200, dimensions=16, sample=16, repeats=1),
    "small": Size(neurons=512, concepts=5000, images=3000, dimensions=256, sample=64, repeats=2),
    "full": Size(neurons=2048, concepts=20_000, images=10_000, dimensions=512, sample=64, repeats=2),
}


def inputs(size: Size, max_bytes: int = 0) -> tuple[Tensor, ConceptMatrix]:
    """Return activations and the concept matrix of an encoder with that many dimensions.

    The factors share a direction, as those of encoders do, so that all similarities are positive.
    """
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(size.images, size.dimensions, generator=generator)
    texts = torch.randn(size.concepts, size.dimensions, generator=generator)
    images[:, 0], texts[:, 0] = size.dimensions**0.5, size.dimensions**0.5
    images, texts = torch.nn.functional.normalize(images, dim=1), torch.nn.functional.normalize(texts, dim=1)
    return torch.randn(size.images, size.neurons, generator=generator), ConceptMatrix(images, texts, max_bytes)


def score_blocks(scorer: Scorer, activations: Tensor) -> None:
    """Score as labelling does: the best five concepts where they are searched for, else all, block by block."""
    if isinstance(scorer, SearchingScorer):
        scorer.best(activations, count=5)
        return
    width = max(64, 2**26 // (8 * activations.shape[1]) // 64 * 64)
    for _ in scorer.blocks(activations, width):
        pass


def score_cold(similarity: Similarity, activations: Tensor, concept_matrix: ConceptMatrix) -> None:
    """Score all concepts with nothing prepared."""
    score_blocks(prepare(similarity, concept_matrix), activations)


def ratios(size: Size) -> BenchmarkTable:
    """Measure every similarity, cold and warm, against what it is compared with."""
    title = f"{size.neurons} neurons x {size.concepts} concepts x {size.images} images"
    table = BenchmarkTable(title, environment())
    activations, kept = inputs(size, max_bytes=2**40)
    factored = ConceptMatrix(kept.image_factors, kept.concept_factors)
    part = activations[:, : size.sample]
    for name, published in (("soft_wpmi", SOFT_WPMI), ("wpmi", WPMI)):
        probability = published.probability(kept.whole)
        references = [
            (1.0, partial(published.probability, kept.whole)),
            (size.neurons / size.sample, partial(published.relative, part, probability)),
        ]
        reference = f"published, loop over {size.sample} neurons extrapolated"
        for matrix in (kept, factored):
            _compare(table, name, activations, matrix, reference, references, size.repeats)
        if name == "soft_wpmi":
            _compare(table, "rank_reorder", activations, kept, "soft_wpmi, " + reference, references, size.repeats)
        del probability, references
    product = [(1.0, partial(torch.matmul, activations.T, kept.whole))]
    for name in ("correlation", "cosine", "cosine_cubed"):
        for matrix in (kept, factored):
            _compare(table, name, activations, matrix, "A^T P in float32", product, size.repeats)
    return table


def growth(size: Size, name: str) -> tuple[dict[str, float], dict[str, list[tuple[int, float]]]]:
    """Return exponents and seconds of a warm call against neurons, concepts and images, each halved twice."""
    curves: dict[str, list[tuple[int, float]]] = {"neurons": [], "concepts": [], "images": []}
    for axis, points in curves.items():
        for divisor in (4, 2, 1):
            smaller = replace(size, **{axis: getattr(size, axis) // divisor})
            activations, concept_matrix = inputs(smaller)
            scorer = prepare(SIMILARITIES.resolve(name), concept_matrix)
            (timing,) = in_turns([partial(score_blocks, scorer, activations)], size.repeats)
            points.append((getattr(smaller, axis), timing.minimum))
    return {axis: exponent(*zip(*points, strict=True)) for axis, points in curves.items()}, curves


def peak(name: str, size: Size) -> int:
    """Return the bytes that a cold call holds at most beyond inputs and a block; call it in a process of its own."""
    similarity = SIMILARITIES.resolve(name)
    score_cold(similarity, *inputs(SIZES["tiny"]))
    activations, concept_matrix = inputs(size)
    before = resident_bytes()
    score_cold(similarity, activations, concept_matrix)
    return peak_bytes() - before


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="full")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--peak", choices=list(SIMILARITIES), help="only measure the memory of one similarity")
    options = parser.parse_args(arguments)
    size = SIZES[options.size]
    if options.peak:
        print(peak(options.peak, size))  # noqa: T201
        return
    table = ratios(size)
    print(table)  # noqa: T201
    cost = BenchmarkTable("Exponent of warm cost in size (1 is linear)", environment())
    curves = {}
    for name in ("soft_wpmi", "correlation"):
        exponents, curves[name] = growth(size, name)
        cost.add(similarity=name, **exponents)
    print(cost)  # noqa: T201
    memory = BenchmarkTable("Peak memory beyond inputs, with a block of scores", environment())
    for name in ("soft_wpmi", "correlation") if options.size == "tiny" else SIMILARITIES:
        held = in_subprocess(MODULE, "--peak", name, "--size", options.size)
        memory.add(similarity=name, MiB=held / 2**20)
    print(memory)  # noqa: T201
    if options.json:
        write_tables(options.json, [table, cost, memory], curves=curves)


def _compare(  # noqa: PLR0917
    table: BenchmarkTable,
    name: str,
    activations: Tensor,
    concept_matrix: ConceptMatrix,
    reference: str,
    references: list[tuple[float, Callable[[], object]]],
    repeats: int,
) -> None:
    similarity = SIMILARITIES.resolve(name)
    scorer = prepare(similarity, concept_matrix)
    score_blocks(scorer, activations[:, :2])
    ours = [partial(score_cold, similarity, activations, concept_matrix), partial(score_blocks, scorer, activations)]
    timings = in_turns([*ours, *(call for _, call in references)], repeats)
    slow = sum(factor * timing.minimum for (factor, _), timing in zip(references, timings[2:], strict=True))
    for state, timing in zip(("cold", "warm"), timings, strict=False):
        table.add(
            similarity=name, matrix="kept" if concept_matrix.is_kept else "factors", state=state,
            seconds=timing.minimum, median=timing.median, against=reference, reference=slow,
            speedup=slow / timing.minimum,
        )  # fmt: skip
        print(table.rows[-1], flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
