"""The answers of evaluators, by image and as people read them."""

from collections.abc import Iterable
from math import isfinite

from lightning_dissect.types import DissectionReport, NeuronLabel


def answer_text(yes: bool | None) -> str:
    """Return an answer as people read it, empty if there is none.

    Example:
        >>> [answer_text(answer) for answer in (True, False, None)]
        ['yes', 'no', '']

    """
    return "" if yes is None else ("yes" if yes else "no")


def image_answers(neuron: NeuronLabel, judge: str) -> dict[int, bool]:
    """Return whether images show what the label says, by sample id; images without an answer are left out.

    Args:
        neuron: The neuron.
        judge: Name of an evaluator; of one that did not judge the neuron there are no answers.

    Example:
        >>> from lightning_dissect.label_evaluation import JudgedImage, LabelEvaluation
        >>> judged = (JudgedImage(4, 0.9, "top", 10, 1.0), JudgedImage(2, 0.8, "top", 10, 1.0))
        >>> evaluations = {"vqa": LabelEvaluation(True, scores=(0.8, 0.1), answers=(True, False))}
        >>> image_answers(NeuronLabel("fc", 0, "labelled", judged_images=judged, evaluations=evaluations), "vqa")
        {4: True, 2: False}

    """
    if judge not in neuron.evaluations:
        return {}
    found = neuron.evaluations[judge]
    return {
        image.sample_id: yes
        for image, score, yes in zip(neuron.judged_images, found.scores, found.answers, strict=True)
        if isfinite(score)
    }


def top_answers(neuron: NeuronLabel, judge: str) -> list[bool | None]:
    """Return for each top image of a neuron whether it shows what the label says, ``None`` without an answer.

    Args:
        neuron: The neuron.
        judge: Name of an evaluator.

    """
    answers = image_answers(neuron, judge)
    return [answers.get(top.sample_id) for top in neuron.top_images]


def verdict_text(neuron: NeuronLabel, judge: str) -> str:
    """Return what an evaluator says of a label as people read it, empty if it did not judge the label.

    Args:
        neuron: The neuron.
        judge: Name of an evaluator.

    Example:
        >>> from lightning_dissect.label_evaluation import JudgedImage, LabelEvaluation
        >>> from lightning_dissect.types import TopImage
        >>> top, judged = (TopImage(4, 0.9),), (JudgedImage(4, 0.9, "top", 10, 1.0),)
        >>> evaluations = {"vqa": LabelEvaluation(True, scores=(0.8,), answers=(True,))}
        >>> neuron = NeuronLabel("fc", 0, "labelled", (), top, judged_images=judged, evaluations=evaluations)
        >>> verdict_text(neuron, "vqa")
        'vqa yes, 1 of 1'

    """
    if judge not in neuron.evaluations:
        return ""
    answered = [answer for answer in top_answers(neuron, judge) if answer is not None]
    return f"{judge} {answer_text(neuron.evaluations[judge].yes)}, {sum(answered)} of {len(answered)}"


def first_judge(report: DissectionReport, neurons: Iterable[NeuronLabel]) -> str:
    """Return the first evaluator of a report that judged any of the neurons, empty if none did.

    Args:
        report: The dissection.
        neurons: Some of its neurons.

    """
    judges = {name for neuron in neurons for name in neuron.evaluations}
    return next((evaluator.name for evaluator in report.evaluators if evaluator.name in judges), "")
