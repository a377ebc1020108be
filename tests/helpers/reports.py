"""What of a report must not depend on how many processes made it, as plain values that travel between processes."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lightning_dissect import distributed
from lightning_dissect.kept_activations import KeptActivations
from lightning_dissect.report import metric_values
from lightning_dissect.types import STATUSES, DissectionReport

COUNTED = ("_undefined", "_evaluated", "distinct_labels", "_share", *STATUSES)


def plain(report: DissectionReport) -> dict[str, Any]:
    """Return a report as JSON has it: what must be equal to the last bit, and what may be rounded."""
    neurons = [(layer.layer, neuron) for layer in report.layers for neuron in layer.neurons]
    metrics = metric_values(report)
    counts = {key: value for key, value in metrics.items() if key.endswith(COUNTED)}
    return {
        "name": report.name,
        "exact": {
            "num_images": report.num_images,
            "neurons": [[layer, neuron.unit, neuron.status] for layer, neuron in neurons],
            "candidates": [[candidate.concept for candidate in neuron.candidates] for _, neuron in neurons],
            "contenders": [neuron.trust and list(neuron.trust.contenders) for _, neuron in neurons],
            "trust": [repr(neuron.trust) for _, neuron in neurons],
            "histograms": [repr(neuron.histogram) for _, neuron in neurons],
            "concept_embeddings": sorted(report.concept_embeddings),
            "activations": report.activations and _digest(report.activations),
            "specificity": [repr(neuron.specificity) for _, neuron in neurons],
            "top_images": [
                [[image.sample_id, repr(image.activation)] for image in neuron.top_images] for _, neuron in neurons
            ],
            "pictures": {
                str(sample_id): hashlib.sha256(picture.tobytes()).hexdigest()
                for sample_id, picture in sorted(report.images.items())
            },
            "counts": counts,
            "judged": [[repr(value) for value in neuron.metrics.values()] for _, neuron in neurons],
            "judged_images": [[repr(image) for image in neuron.judged_images] for _, neuron in neurons],
            "answers": [
                {name: [found.yes, *found.answers] for name, found in neuron.evaluations.items()}
                for _, neuron in neurons
            ],
            "evaluators": [repr(replace(evaluator, seconds=0.0)) for evaluator in report.evaluators],
            "reference_images": list(report.reference_images),
            "undefined": [layer.undefined for layer in report.layers],
        },
        "rounded": {
            "metrics": {key: value for key, value in metrics.items() if key not in counts},
            "scores": [candidate.score for _, neuron in neurons for candidate in neuron.candidates],
            "judged_scores": [
                score
                for _, neuron in neurons
                for found in neuron.evaluations.values()
                for score in (*found.scores, found.precision, found.recall, found.shuffled, found.discrimination)
            ],
            "qualities": [candidate.quality for _, neuron in neurons for candidate in neuron.candidates],
        },
    }


def _digest(kept: KeptActivations) -> dict[str, str]:
    return {
        "sample ids": repr(kept.sample_ids.tolist()),
        **{layer: hashlib.sha256(values.tobytes()).hexdigest() for layer, values in kept.layers.items()},
    }


def assert_equal_reports(one: Sequence[dict[str, Any]], many: Sequence[dict[str, Any]]) -> None:
    """Check that `plain` reports agree: bit for bit in what is counted or chosen, to 1e-6 in what is computed."""
    for mine, other in zip(one, many, strict=True):
        assert mine["name"] == other["name"]
        assert mine["exact"] == other["exact"]
        for key, values in mine["rounded"].items():
            assert other["rounded"][key] == pytest.approx(values, rel=1e-6, abs=1e-6, nan_ok=True), key


class ReportFile:
    """Writes plain reports as lines of a file per process, so that nothing is lost with a forked process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, report: DissectionReport, loggers: Sequence[Any]) -> None:
        """See `lightning_dissect.writers.ReportWriter`."""
        self.folder.mkdir(exist_ok=True)
        with (self.folder / f"rank{distributed.rank()}.jsonl").open("a") as file:
            file.write(json.dumps(plain(report)) + "\n")

    def read(self) -> list[dict[str, Any]]:
        """Return what was written, which only rank 0 may have done."""
        [path] = self.folder.glob("*")
        assert path.name == "rank0.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()]
