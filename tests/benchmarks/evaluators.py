"""What it costs to judge labels by evaluators that see with an encoder, once embeddings exist, against their number.

Run ``python -m tests.benchmarks.evaluators [--size tiny|full] [--json FILE]``. Embeddings are random, of as many
dimensions as CLIP's. Beside the two published evaluators stands the product of all embeddings, which the first of them
cannot do without; *as published* asks five top images about their label, *in full* also deciles, controls and nine
labels of other neurons.
"""

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from lightning_dissect.evaluators import (
    Case,
    ConceptProportion,
    EmbeddingPercentile,
    EmbeddingSimilarity,
    Encoded,
    Evidence,
    ImageSampling,
    LabelEvaluator,
    judge,
)
from lightning_dissect.label_evaluation import JudgedImage
from lightning_dissect.probe import ConceptVocabulary
from tests.benchmarks.table import BenchmarkTable, environment, exponent, in_turns, write_tables

MODULE = "tests.benchmarks.evaluators"
SIZES = {"tiny": (16, 50, 200, 8), "full": (2048, 10_000, 20_000, 512)}
"""Neurons, images of the probe, concepts, dimensions."""
CURVE = {"tiny": (4, 8, 16), "full": (512, 1024, 2048)}
REPEATS = 3
EVALUATORS: dict[str, LabelEvaluator] = {
    "concept_proportion": ConceptProportion(fraction=0.01),
    "embedding_similarity": EmbeddingSimilarity(),
    "embedding_percentile": EmbeddingPercentile(),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=list(SIZES), default="full")
    parser.add_argument("--json", type=Path, help="file to write what was measured to")
    options = parser.parse_args(arguments)
    table = judging(options.size)
    print(table)  # noqa: T201
    if options.json:
        write_tables(options.json, [table])


def judging(size: str) -> BenchmarkTable:
    """Measure each evaluator as published and in full, in turns with the product of embeddings."""
    neurons, images, concepts, dimensions = SIZES[size]
    found = evidence(images, concepts, dimensions)
    published, full = (
        cases(found, neurons, sampling, others)
        for sampling, others in ((ImageSampling(5, 0, 0), 0), (ImageSampling(), 9))
    )
    calls: dict[str, Callable[[], object]] = {"product of embeddings": partial(product, found, published)}
    for name, evaluator in EVALUATORS.items():
        calls[f"{name}, as published"] = partial(judge, evaluator, published, found, 1)
        calls[f"{name}, in full"] = partial(judge, evaluator, full, found, 1)
    title = f"Judging {neurons} labels: {images} images, {concepts} concepts, {dimensions} dimensions, no vision model"
    table = BenchmarkTable(title, environment())
    timings = in_turns(list(calls.values()), REPEATS)
    for name, timing in zip(calls, timings, strict=True):
        row = {"what": name, "seconds": timing.minimum, "ms per neuron": 1000 * timing.minimum / neurons}
        table.add(**row, **{"x product": timing.minimum / timings[0].minimum})
    for name, evaluator in EVALUATORS.items():
        curve = in_turns([partial(judge, evaluator, published[:part], found, 1) for part in CURVE[size]], REPEATS)
        slope = exponent(CURVE[size], [timing.minimum for timing in curve])
        next(row for row in table.rows if row["what"] == f"{name}, as published")["exponent in neurons"] = slope
    return table


def evidence(images: int, concepts: int, dimensions: int) -> Evidence:
    """Return random images and concepts."""
    generator = torch.Generator().manual_seed(0)
    seen, known = (normalize(torch.randn(size, dimensions, generator=generator), dim=1) for size in (images, concepts))
    vocabulary = ConceptVocabulary(tuple(f"concept {number}" for number in range(concepts)))
    reference = torch.arange(0, images, max(1, images // 256))
    return Evidence(vocabulary, [None] * images, reference, Encoded(seen, known))


def cases(found: Evidence, neurons: int, sampling: ImageSampling, others: int) -> list[Case]:
    """Return labels with the images of random activations."""
    rng = np.random.default_rng(0)
    concepts = found.vocabulary.concepts
    activations = torch.from_numpy(rng.standard_normal((len(found), neurons), dtype=np.float32))
    drawn = sampling.draw(activations, torch.arange(neurons), torch.arange(len(found)), list(range(neurons)))
    return [
        case(images, rng.choice(len(concepts), 1 + others, replace=False), concepts)
        for images in drawn.records(sampling)
    ]


def case(images: tuple[JudgedImage, ...], labels: Sequence[int], concepts: Sequence[str]) -> Case:
    """Return one label, the first, with others."""
    label, *others = (concepts[place] for place in labels)
    return Case(label, tuple(others), images, tuple(image.sample_id for image in images))


def product(found: Evidence, asked: Sequence[Case]) -> Tensor | None:
    """Multiply the embeddings of all images that are asked about with those of all concepts, part by part."""
    encoded = found.encoded
    last = None
    rows = sorted({row for one in asked for row in one.rows})
    for part in torch.split(torch.tensor(rows), 256) if encoded is not None else ():
        last = encoded.images[part] @ encoded.concepts.T
    return last


if __name__ == "__main__":
    main()
