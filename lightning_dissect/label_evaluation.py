"""What evaluators, which look at images, say of a label."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import nan
from typing import Literal, get_args

import numpy as np

Role = Literal["top", "decile", "control"]
ROLES: tuple[Role, ...] = get_args(Role)
HIGHEST_DECILE = 10

RATES = ("rate", "shuffled_rate", "precision", "recall", "control_rate", "discrimination", "evaluated")
"""What `summarise_evaluations` says of an evaluator, in order."""


@dataclass(frozen=True)
class JudgedImage:
    """An image by which a label is judged.

    Args:
        sample_id: Id of the image in the probe.
        activation: Pooled activation of the neuron on it.
        role: ``"top"`` if it is one of the most activating, ``"decile"`` if it was drawn from the others of its decile,
            ``"control"`` if it is one of the less activating half and looks like a top image.
        decile: Tenth of the probe in which the activation lies, 10 for the most activating.
        weight: Images of the probe that it stands for; 0 for a control.

    """

    sample_id: int
    activation: float
    role: Role
    decile: int
    weight: float


@dataclass(frozen=True)
class LabelEvaluation:
    """What one evaluator says of the label of one neuron.

    Args:
        yes: Whether enough of the top images show what the label says.
        scores: How well each judged image fits the label, in the order of `NeuronLabel.judged_images`; NaN where there
            was no answer.
        answers: Whether each of them shows it; ``False`` where there was no answer.
        precision: Share of the most activating tenth of the probe that shows it, estimated from the judged images; NaN
            where undefined, here and below.
        recall: Share of the images that show it which lie in the most activating tenth, estimated likewise.
        shuffled: Share of the labels of other neurons to which the same vote on the same images says yes.
        discrimination: 1 if the label fits the top images better than those labels do, 0 if another fits better, and
            one part of 1 where several fit equally well.
        chance: What ``discrimination`` would be for a label drawn at random.

    """

    yes: bool
    scores: tuple[float, ...]
    answers: tuple[bool, ...]
    precision: float = nan
    recall: float = nan
    shuffled: float = nan
    discrimination: float = nan
    chance: float = nan


@dataclass(frozen=True)
class EvaluatorDescription:
    """What reports must know of an evaluator.

    Args:
        name: What keys and columns call it.
        form: The evaluator with its settings, as people read it.
        family: Family of the model that answers.
        is_own_witness: Whether the labels come from a model of the same family.
        score: What its scores are, such as ``"P(yes)"``.
        seconds: Time it took per neuron; NaN where it judged none.
        failure: Why it could not answer, empty if it could.

    """

    name: str
    form: str = ""
    family: str = ""
    is_own_witness: bool = False
    score: str = "score"
    seconds: float = nan
    failure: str = ""


def control_rate(judged: Sequence[JudgedImage], evaluation: LabelEvaluation) -> float:
    """Return the share of the controls that show what the label says, NaN if none was answered.

    Args:
        judged: The images.
        evaluation: What an evaluator says of them.

    Example:
        >>> control = JudgedImage(7, 0.0, "control", decile=2, weight=0.0)
        >>> control_rate([control], LabelEvaluation(True, scores=(0.75,), answers=(True,)))
        1.0

    """
    found = [
        yes
        for image, score, yes in zip(judged, evaluation.scores, evaluation.answers, strict=True)
        if image.role == "control" and np.isfinite(score)
    ]
    return float(np.mean(found)) if found else nan


def summarise_evaluations(
    evaluated: Iterable[tuple[Sequence[JudgedImage], LabelEvaluation]],
) -> dict[str, float]:
    """Average what an evaluator says of labels.

    Args:
        evaluated: The judged images of each neuron and what the evaluator says of its label.

    Returns:
        ``rate``, the share of labels that it says yes to; ``shuffled_rate``, the same for labels of other neurons, to
        which ``rate`` must be held up: an evaluator that always says yes has 1 for both; ``precision``, ``recall``,
        ``control_rate`` and ``discrimination``, means over the neurons for which they are defined; and ``evaluated``,
        how many neurons were. Means over nothing are NaN.

    Example:
        >>> summarise_evaluations([((), LabelEvaluation(True, (), (), shuffled=0.25))])["shuffled_rate"]
        0.25

    """
    pairs = list(evaluated)
    found = [evaluation for _, evaluation in pairs]
    columns = {
        "rate": [float(one.yes) for one in found],
        "shuffled_rate": [one.shuffled for one in found],
        "precision": [one.precision for one in found],
        "recall": [one.recall for one in found],
        "control_rate": [control_rate(judged, one) for judged, one in pairs],
        "discrimination": [one.discrimination for one in found],
    }
    return {name: _mean(values) for name, values in columns.items()} | {"evaluated": float(len(found))}


def _mean(values: Sequence[float]) -> float:
    defined = [value for value in values if np.isfinite(value)]
    return float(np.mean(defined)) if defined else nan
