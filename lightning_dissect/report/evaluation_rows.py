"""What evaluators say of every image by which a label is judged, as rows for a table."""

from collections.abc import Iterator
from math import isfinite
from typing import Any

from lightning_dissect.report.answers import answer_text
from lightning_dissect.types import DissectionReport

EVALUATION_COLUMNS = (
    "layer",
    "unit",
    "label",
    "sample_id",
    "role",
    "decile",
    "activation",
    "weight",
    "evaluator",
    "score",
    "answer",
    "epoch",
    "step",
    "cycle",
)
"""The columns of `evaluation_rows`, in order."""


def evaluation_rows(report: DissectionReport) -> Iterator[dict[str, Any]]:
    """Yield one row per evaluated neuron, evaluator and judged image, with the keys of `EVALUATION_COLUMNS` in order.

    Where an image was not answered, ``score`` is NaN and ``answer`` is empty, else ``answer`` is ``"yes"`` or ``"no"``.

    Args:
        report: The dissection.

    Example:
        >>> from lightning_dissect.label_evaluation import EvaluatorDescription, JudgedImage, LabelEvaluation
        >>> from lightning_dissect.types import LayerDissection, NeuronLabel, ScoredConcept
        >>> judged = (JudgedImage(4, 0.9, "top", decile=10, weight=1.0),)
        >>> evaluations = {"vqa": LabelEvaluation(yes=True, scores=(0.8,), answers=(True,))}
        >>> cat = (ScoredConcept("cat", 0.5, 0.4),)
        >>> neuron = NeuronLabel("fc", 0, "labelled", cat, judged_images=judged, evaluations=evaluations)
        >>> evaluators = (EvaluatorDescription("vqa"),)
        >>> report = DissectionReport(1, 8, 1, (LayerDissection("fc", (neuron,)),), 9, evaluators=evaluators)
        >>> [row] = evaluation_rows(report)
        >>> row["label"], row["sample_id"], row["evaluator"], row["answer"]
        ('cat', 4, 'vqa', 'yes')

    """
    names = [evaluator.name for evaluator in report.evaluators]
    for neuron in report.neurons:
        for name, found in ((name, neuron.evaluations[name]) for name in names if name in neuron.evaluations):
            for image, score, yes in zip(neuron.judged_images, found.scores, found.answers, strict=True):
                yield {
                    "layer": neuron.layer,
                    "unit": neuron.unit,
                    "label": neuron.label,
                    "sample_id": image.sample_id,
                    "role": image.role,
                    "decile": image.decile,
                    "activation": image.activation,
                    "weight": image.weight,
                    "evaluator": name,
                    "score": score,
                    "answer": answer_text(yes if isfinite(score) else None),
                    "epoch": report.epoch,
                    "step": report.step,
                    "cycle": report.cycle,
                }
