"""A small report with every kind of neuron, hostile labels and pictures that tests can tell apart."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lightning_dissect.label_evaluation import EvaluatorDescription, JudgedImage, LabelEvaluation
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


EVALUATORS = (
    EvaluatorDescription("vqa", "VQA(model='<b>x</b>')", "BLIP", score="P(yes)", seconds=1.5),
    EvaluatorDescription("proportion", "Proportion()", "CLIP", is_own_witness=True, score="rank", seconds=0.004),
    EvaluatorDescription("silent", family="LLaVA", failure="out of <i>memory</i>"),
)


def evaluated_report(dirpath: Path | None = None, **changes: Any) -> DissectionReport:
    """The small report with three evaluators, of which the last judged nothing.

    ``vqa`` judged units 0 to 2 of the body and 6 of the head and says no to unit 1, to whose first image it did not
    answer; ``proportion`` judged units 0 and 1 of the body and says no to unit 1.
    """
    report = small_report(dirpath, **changes)
    layers = tuple(
        replace(layer, neurons=tuple(_evaluated(neuron) if neuron.candidates else neuron for neuron in layer.neurons))
        for layer in report.layers
    )
    return replace(report, layers=layers, evaluators=EVALUATORS, reference_images=(3, 19))


def _evaluated(neuron: NeuronLabel) -> NeuronLabel:
    unit = neuron.unit
    evaluations = {}
    if (neuron.layer, unit) in {("body.conv", 0), ("body.conv", 1), ("body.conv", 2), ("head", 6)}:
        evaluations["vqa"] = _evaluation(unit, (True, unit != 6, unit == 0, False, unit % 4 == 2))
    if neuron.layer == "body.conv" and unit < 2:
        evaluations["proportion"] = _evaluation(unit, (False, True, False, False, False))
    if not evaluations:
        return neuron
    judged = (
        JudgedImage(unit, 3.0, "top", 10, 1.0),
        JudgedImage(unit + 1, 1.5, "top", 10, 1.0),
        JudgedImage(unit + 2, 1.25, "decile", 10, 2.0),
        JudgedImage(unit + 3, 0.5, "decile", 5, 4.0),
        JudgedImage(unit + 4, 0.25, "control", 2, 0.0),
    )
    return replace(neuron, judged_images=judged, evaluations=evaluations)


def _evaluation(unit: int, answers: tuple[bool, ...]) -> LabelEvaluation:
    """Undefined recall and an image without an answer for unit 1, to whose label it says no."""
    silent = unit == 1
    return LabelEvaluation(
        yes=not silent,
        scores=tuple(float("nan") if silent and not place else 0.25 + yes / 2 for place, yes in enumerate(answers)),
        answers=(answers[0] and not silent, *answers[1:]),
        precision=0.5 + unit / 8,
        recall=float("nan") if silent else 0.25,
        shuffled=0.25,
        discrimination=float(not silent),
        chance=0.1,
    )


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
