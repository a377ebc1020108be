"""A small report with every kind of neuron, hostile labels and pictures that tests can tell apart."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lightning_dissect.types import (
    DissectionReport,
    LabelTrust,
    LayerDissection,
    MetricDescription,
    NeuronLabel,
    ScoredConcept,
    TopImage,
)

HOSTILE = (
    "</script><img src=x onerror=\"document.title='pwned'\">",
    'say "cheese", please',
    "two\nlines\r\nand\ttab",
    "=HYPERLINK(1)",
    "x" * 500,
    "Müller 猫 🐈 | *bold* _it_",
)


def picture(sample_id: int, height: int = 40, width: int = 60) -> np.ndarray:
    """A plain colour of its own for every sample id."""
    colour = np.array([40 * sample_id % 256, 90 * sample_id % 256, 255 - 30 * sample_id % 256], dtype=np.uint8)
    return np.broadcast_to(colour, (height, width, 3)).copy()


def labelled(layer: str, unit: int, label: str, quality: float) -> NeuronLabel:
    candidates = (ScoredConcept(label, 2 * quality, quality), ScoredConcept(f"not {label}", quality, quality / 2))
    return NeuronLabel(layer, unit, "labelled", candidates, (TopImage(unit, 3.0), TopImage(unit + 1, 1.5)))


JUDGES = (
    MetricDescription("iou", "IoU(alpha=0.01)", True, (0.0, 1.0), True, True),
    MetricDescription("recall", "Recall(alpha=0.01)", True, (0.0, 1.0), True, False, "So it is <b>published</b>."),
    MetricDescription("distance", higher_is_better=False),
    MetricDescription("spread"),
)


def judged_report(dirpath: Path | None = None, **changes: Any) -> DissectionReport:
    """The small report with metrics: ``iou`` is undefined for unit 2 of the head, ``spread`` for all neurons."""
    report = small_report(dirpath, **changes)
    layers = []
    for layer in report.layers:
        neurons = tuple(replace(neuron, metrics=_judged(neuron)) for neuron in layer.neurons)
        undefined = {"iou": {"the concept is in no image": 1}} if layer.layer == "head" else {}
        layers.append(LayerDissection(layer.layer, neurons, undefined))
    return replace(report, layers=tuple(layers), label_metrics=JUDGES)


def _judged(neuron: NeuronLabel) -> dict[str, float]:
    if not neuron.candidates:
        return dict.fromkeys([judge.name for judge in JUDGES], float("nan"))
    iou = float("nan") if (neuron.layer, neuron.unit) == ("head", 2) else 0.125 * neuron.unit
    return {"iou": iou, "recall": 0.5, "distance": 0.25 * neuron.unit, "spread": float("nan")}


def small_report(dirpath: Path | None = None, **changes: Any) -> DissectionReport:
    """Two layers: one of hostile labels, one with a dead neuron, a broken one and a missing picture (id 7)."""
    hostile = [labelled("body.conv", unit, label, 0.1 * (unit + 1)) for unit, label in enumerate(HOSTILE)]
    head = [
        NeuronLabel("head", 0, "dead"),
        NeuronLabel("head", 1, "non_finite"),
        labelled("head", 2, "zebra", -0.25),
        labelled("head", 6, "apple", 0.75),
    ]
    values = {
        "epoch": 2,
        "step": 30,
        "cycle": 2,
        "layers": (LayerDissection("body.conv", tuple(hostile)), LayerDissection("head", tuple(head))),
        "num_images": 20,
        "settings": {"similarity": "cosine", "vocabulary": "<b>mine</b>"},
        "images": {sample_id: picture(sample_id) for sample_id in range(7)},
        "dirpath": dirpath,
        "logger_step": 29,
    }
    return DissectionReport(**{**values, **changes})


def doubtful_report(dirpath: Path | None = None) -> DissectionReport:
    """One layer whose neurons are labelled, ambiguous, without a clear function, and dead."""
    clear, ambiguous, unclear = (
        labelled("fc", unit, label, quality)
        for unit, (label, quality) in enumerate([("cat", 0.8), ("dog", 0.4), ("sky", 0.1)])
    )
    neurons = (
        replace(clear, trust=LabelTrust((0.7, 0.9), ("cat",), 0.0005, 0.001, 0.6, 0.005, 0.01)),
        replace(ambiguous, status="ambiguous", trust=LabelTrust((0.3, 0.5), ("dog", "not dog"), 0.002, 0.004)),
        replace(
            unclear, status="no_clear_function", trust=LabelTrust((-0.1, 0.3), ("sky",), 0.4, 0.5, -0.02, 0.7, 0.8)
        ),
        NeuronLabel("fc", 3, "dead"),
    )
    return small_report(dirpath, layers=(LayerDissection("fc", neurons),))
