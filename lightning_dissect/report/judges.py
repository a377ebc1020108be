"""What the page says of evaluators."""

from dataclasses import dataclass
from math import isfinite, nan
from typing import Any

import numpy as np

from lightning_dissect.label_evaluation import ROLES, EvaluatorDescription, LabelEvaluation
from lightning_dissect.report.plain_number import plain_number
from lightning_dissect.types import DissectionReport, NeuronLabel, summarise_evaluators


@dataclass(frozen=True)
class JudgedLayer:
    """What an evaluator says of the labels of a layer.

    Args:
        layer: Place of the layer in the report, ``None`` for all layers together.
        name: Full module name of the layer.
        rates: The numbers of `summarise_evaluators`.
        chance: What the discrimination would be for labels drawn at random; NaN if it was not asked for.

    """

    layer: int | None
    name: str
    rates: dict[str, float]
    chance: float


@dataclass(frozen=True)
class JudgeOverview:
    """What the page says of one evaluator before the neurons.

    Args:
        evaluator: The evaluator.
        layers: The layers of which it judged any label, all of them together last if there are several.

    """

    evaluator: EvaluatorDescription
    layers: tuple[JudgedLayer, ...]


def judge_overviews(report: DissectionReport) -> list[JudgeOverview]:
    """Summarise each evaluator of a report for the page.

    Args:
        report: The dissection.

    Example:
        >>> from lightning_dissect.types import LayerDissection
        >>> evaluations = {"vqa": LabelEvaluation(True, scores=(), answers=(), chance=0.1)}
        >>> layer = LayerDissection("fc", (NeuronLabel("fc", 0, "labelled", evaluations=evaluations),))
        >>> report = DissectionReport(0, 0, 0, (layer,), 9, evaluators=(EvaluatorDescription("vqa"),))
        >>> [overview] = judge_overviews(report)
        >>> overview.layers[0].rates["rate"], overview.layers[0].chance
        (1.0, 0.1)

    """
    overviews = []
    for evaluator in report.evaluators:
        layers = [
            _judged_layer(evaluator.name, layer.neurons, layer.layer, place)
            for place, layer in enumerate(report.layers)
        ]
        judged = [layer for layer in layers if layer.rates["evaluated"]]
        if len(judged) > 1:
            judged.append(_judged_layer(evaluator.name, report.neurons))
        overviews.append(JudgeOverview(evaluator, tuple(judged)))
    return overviews


def judge_data(report: DissectionReport) -> dict[str, Any]:
    """Return what the page's script shows of evaluators, as plain values that JSON can hold.

    Args:
        report: The dissection.

    Returns:
        ``roles`` as a list of texts; ``evaluators``, each with its name and what its scores are; and ``neurons``, by
        the place of the neuron in the report, for each that has verdicts: its judged images, each ``[sample id,
        activation, index of the role, decile]``, and one verdict per evaluator, ``None`` or ``[yes, answers, scores,
        precision, recall, shuffled, discrimination, chance]``. Answers are one text with ``"1"`` for yes, ``"0"`` for
        no and ``"-"`` for none per image. A number that is not finite is ``None``.

    """
    return {
        "roles": ROLES,
        "evaluators": [{"name": evaluator.name, "score": evaluator.score} for evaluator in report.evaluators],
        "neurons": {
            str(place): [
                [
                    [image.sample_id, plain_number(image.activation), ROLES.index(image.role), image.decile]
                    for image in neuron.judged_images
                ],
                [_verdict(neuron.evaluations.get(evaluator.name)) for evaluator in report.evaluators],
            ]
            for place, neuron in enumerate(report.neurons)
            if neuron.evaluations
        },
    }


def _judged_layer(
    judge: str, neurons: tuple[NeuronLabel, ...], name: str = "", place: int | None = None
) -> JudgedLayer:
    found = [neuron.evaluations[judge].chance for neuron in neurons if judge in neuron.evaluations]
    chances = [chance for chance in found if isfinite(chance)]
    return JudgedLayer(
        layer=place,
        name=name,
        rates=summarise_evaluators(neurons, [judge])[judge],
        chance=float(np.mean(chances)) if chances else nan,
    )


def _verdict(found: LabelEvaluation | None) -> list[Any] | None:
    if found is None:
        return None
    answers = (
        "-" if not isfinite(score) else str(int(yes)) for score, yes in zip(found.scores, found.answers, strict=True)
    )
    numbers = (found.precision, found.recall, found.shuffled, found.discrimination, found.chance)
    return [found.yes, "".join(answers), list(map(plain_number, found.scores)), *map(plain_number, numbers)]
