"""What metrics cost over all pairs of neurons and concepts, against a loop over pairs, in time and memory.

Run ``python -m tests.benchmarks.metrics [--size tiny|small|full] [--json FILE]``. The loop is run on a sample of pairs
in turns with the metric and multiplied; what it needs of each neuron alone is given to it for free.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor

from lightning_dissect.metrics import (
    AUC,
    AUPRC,
    InverseAUC,
    InverseAUPRC,
    MeanActivationDifference,
    PairwiseMetric,
    SpearmanCorrelation,
    binarise,
)
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

MODULE = "tests.benchmarks.metrics"
PairScore = Callable[[Tensor, Tensor], object]


@dataclass(frozen=True)
class Size:
    """How much is scored, how many pairs stand for all in the loop, and how often it is measured."""

    images: int
    neurons: int
    concepts: int
    sample: int
    repeats: int


@dataclass(frozen=True)
class Case:
    """A metric and what scores one pair without it, from a neuron's and a concept's column.

    Args:
        metric: The metric.
        of_neuron: What the loop needs of neurons alone.
        of_concept: What the loop needs of concepts alone.
        pair: The score of one pair.

    """

    metric: PairwiseMetric
    of_neuron: Callable[[Tensor], Tensor]
    of_concept: Callable[[Tensor], Tensor]
    pair: PairScore


SIZES = {
    "tiny": Size(images=300, neurons=8, concepts=8, sample=4, repeats=1),
    "small": Size(images=5000, neurons=64, concepts=64, sample=16, repeats=2),
    "full": Size(images=20_000, neurons=256, concepts=256, sample=32, repeats=5),
}


def unchanged(values: Tensor) -> Tensor:
    return values


def present(values: Tensor) -> Tensor:
    return values >= 0.5


def swapped(score: PairScore) -> PairScore:
    return lambda neuron, concept: score(concept, neuron)


def mean_difference(neuron: Tensor, concept: Tensor) -> float:
    return (neuron[concept].mean() - neuron[~concept].mean()).item()


CASES = {
    "auprc": Case(AUPRC(0.01), partial(binarise, alpha=0.01), unchanged, average_precision_score),
    "auprc, half active": Case(AUPRC(0.5), partial(binarise, alpha=0.5), unchanged, average_precision_score),
    "inverse_auprc": Case(InverseAUPRC(), unchanged, present, swapped(average_precision_score)),
    "auc": Case(AUC(0.01), partial(binarise, alpha=0.01), unchanged, roc_auc_score),
    "inverse_auc": Case(InverseAUC(), unchanged, present, swapped(roc_auc_score)),
    "spearman": Case(SpearmanCorrelation(), unchanged, unchanged, lambda a, c: spearmanr(a, c).statistic),
    "mad": Case(MeanActivationDifference(), unchanged, present, mean_difference),
}


def inputs(size: Size) -> tuple[Tensor, Tensor]:
    """Return activations and presence of labels that are in a tenth of the images, as probabilities."""
    generator = torch.Generator().manual_seed(0)
    presence = torch.rand(size.images, size.concepts, generator=generator) ** (np.log(0.5) / np.log(0.9))
    return torch.randn(size.images, size.neurons, generator=generator), presence


def ratios(size: Size) -> BenchmarkTable:
    """Measure every case against its loop over pairs."""
    title = f"{size.images} images x {size.neurons} neurons x {size.concepts} concepts"
    table = BenchmarkTable(title, environment())
    activations, presence = inputs(size)
    pairs = size.neurons * size.concepts / size.sample
    for name, case in CASES.items():
        case.metric.score(activations[:, :2], presence[:, :2])
        loop = partial(by_pairs, case, activations[:, : size.sample], presence[:, : size.sample])
        ours, own, theirs = in_turns(
            [
                partial(case.metric.score, activations, presence),
                partial(case.metric.score_pairs, activations, presence[:, : size.neurons]),
                loop(),
            ],
            size.repeats,
        )
        table.add(
            metric=name, seconds=ours.minimum, median=ours.median, own_pairs=own.minimum,
            loop=theirs.minimum * pairs, speedup=theirs.minimum * pairs / ours.minimum,
            median_speedup=theirs.median * pairs / ours.median,
        )  # fmt: skip
    return table


def by_pairs(case: Case, activations: Tensor, presence: Tensor) -> Callable[[], list[object]]:
    """Return a loop over as many pairs as there are columns."""
    neurons, concepts = case.of_neuron(activations).T.contiguous(), case.of_concept(presence).T.contiguous()
    return lambda: [case.pair(neuron, concept) for neuron, concept in zip(neurons, concepts, strict=True)]


def growth(size: Size) -> BenchmarkTable:
    """Measure seconds at a quarter, half and all of the neurons and of the concepts, and their exponent."""
    table = BenchmarkTable("Seconds at a quarter, half and all, and exponent of cost (1 is linear)", environment())
    for name, case in CASES.items():
        for axis in ("neurons", "concepts"):
            sizes = [replace(size, **{axis: getattr(size, axis) // divisor}) for divisor in (4, 2, 1)]
            timings = in_turns([partial(case.metric.score, *inputs(one)) for one in sizes], size.repeats)
            seconds = [timing.minimum for timing in timings]
            shown = dict(zip(("quarter", "half", "all"), seconds, strict=True))
            slope = exponent([getattr(one, axis) for one in sizes], seconds)
            table.add(metric=name, axis=axis, **shown, exponent=slope)
    return table


def peak(name: str, size: Size, max_bytes: int) -> int:
    """Return the bytes that one call holds at most beyond inputs and scores; call it in a process of its own."""
    metric = replace(CASES[name].metric, max_bytes=max_bytes)
    metric.score(*inputs(SIZES["tiny"]))
    activations, presence = inputs(size)
    before = max(resident_bytes(), peak_bytes())
    scores = metric.score(activations, presence)
    return max(0, peak_bytes() - before - scores.nbytes)


def memory(size_name: str) -> BenchmarkTable:
    """Measure the peak of memory under budgets."""
    table = BenchmarkTable("Peak memory beyond inputs and scores, MiB", environment())
    for name in ("auprc",) if size_name == "tiny" else CASES:
        for budget in (2**30,) if size_name == "tiny" else (2**26, 2**30):
            held = in_subprocess(MODULE, "--peak", name, "--max-bytes", str(budget), "--size", size_name)
            table.add(metric=name, budget=budget / 2**20, held=held / 2**20)
    return table


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="full")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--peak", choices=CASES, help="only measure the memory of one metric")
    parser.add_argument("--max-bytes", type=int, default=2**30)
    options = parser.parse_args(arguments)
    size = SIZES[options.size]
    if options.peak:
        print(peak(options.peak, size, options.max_bytes))  # noqa: T201
        return
    tables = []
    for measure in (partial(ratios, size), partial(growth, size), partial(memory, options.size)):
        tables.append(measure())
        print(tables[-1], end="\n\n", flush=True)  # noqa: T201
    if options.json:
        write_tables(options.json, tables)


if __name__ == "__main__":
    main()
