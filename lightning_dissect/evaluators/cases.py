"""One label before one evaluator: what is asked, and what follows from the answers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lightning_dissect.evaluators.base import Evidence, LabelEvaluator, Questions
from lightning_dissect.label_evaluation import HIGHEST_DECILE, JudgedImage, LabelEvaluation


@dataclass(frozen=True)
class Case:
    """A label and all that it takes to judge it.

    Args:
        label: The label of the neuron.
        others: Labels of other neurons, to be held against it.
        judged: The images; the top ones come first.
        rows: Row of each image in the evidence.

    """

    label: str
    others: tuple[str, ...]
    judged: tuple[JudgedImage, ...]
    rows: tuple[int, ...]

    @property
    def top(self) -> tuple[int, ...]:
        """Rows of the top images."""
        return tuple(row for row, image in zip(self.rows, self.judged, strict=True) if image.role == "top")

    @property
    def num_questions(self) -> int:
        """Questions that the case takes, those counted twice that another case asks, too."""
        return len(self.rows) + len(self.others) * len(self.top)


def judge(
    evaluator: LabelEvaluator, cases: Sequence[Case], evidence: Evidence, votes_needed: int
) -> list[LabelEvaluation | None]:
    """Have an evaluator judge labels; a question that several cases ask is asked once.

    Args:
        evaluator: The evaluator.
        cases: What is judged.
        evidence: The images.
        votes_needed: Top images that have to show what a label says.

    Returns:
        One evaluation per case, ``None`` where no top image was answered.

    Raises:
        ValueError:
            If the evaluator does not give one answer per question.

    """
    texts = dict.fromkeys(text for case in cases for text in (case.label, *case.others))
    place_of = {text: place for place, text in enumerate(texts)}
    pairs = [
        (place_of[text], row)
        for case in cases
        for text, rows in ((case.label, case.rows), *((other, case.top) for other in case.others))
        for row in rows
    ]
    if not pairs:
        return [None] * len(cases)
    asked, where = torch.unique(torch.tensor(pairs), dim=0, return_inverse=True)
    answers = evaluator.answer(Questions(evidence, tuple(texts), images=asked[:, 1].contiguous(), label_of=asked[:, 0]))
    if answers.scores.shape != (len(asked),) or answers.yes.shape != (len(asked),):
        raise ValueError(
            f"Expected {type(evaluator).__name__} to return one score and one answer per question, shape "
            f"({len(asked)},), but got {tuple(answers.scores.shape)} and {tuple(answers.yes.shape)}."
        )
    lengths = [case.num_questions for case in cases]
    scores, yes = (torch.split(column.cpu()[where], lengths) for column in (answers.scores, answers.yes))
    return [_evaluation(*case_and_answers, votes_needed) for case_and_answers in zip(cases, scores, yes, strict=True)]


def _evaluation(case: Case, all_scores: Tensor, all_yes: Tensor, votes_needed: int) -> LabelEvaluation | None:
    images, top = len(case.rows), len(case.top)
    scores, of_others = all_scores[:images].numpy(), all_scores[images:].reshape(len(case.others), top).numpy()
    answers, others_say = all_yes[:images].numpy(), all_yes[images:].reshape(len(case.others), top).numpy()
    answered = np.isfinite(scores)
    if not answered[:top].any():
        return None
    precision, recall = precision_and_recall(case.judged, answers, answered)
    return LabelEvaluation(
        yes=bool(answers[:top].sum() >= votes_needed),
        scores=tuple(scores.tolist()),
        answers=tuple(answers.tolist()),
        precision=precision,
        recall=recall,
        shuffled=float((others_say.sum(axis=1) >= votes_needed).mean()) if len(case.others) else np.nan,
        discrimination=discrimination(scores[:top], of_others),
        chance=1 / (1 + len(case.others)) if len(case.others) else np.nan,
    )


def precision_and_recall(
    judged: Sequence[JudgedImage], answers: np.ndarray, answered: np.ndarray
) -> tuple[float, float]:
    r"""Estimate how well a label says where a neuron is active, which is the most activating tenth of the probe.

    .. math:: \text{precision} = \frac{\sum_{i \in A} w_i y_i}{\sum_{i \in A} w_i}, \qquad
              \text{recall} = \frac{\sum_{i \in A} w_i y_i}{\sum_i w_i y_i}

    with the answers :math:`y_i`, the images of the probe :math:`w_i` that each judged image stands for, and the judged
    images :math:`A` of the highest decile. The sums are unbiased for a stratified sample (Horvitz and Thompson, 1952).
    Controls stand for no image.

    Args:
        judged: The images.
        answers: Whether each shows what the label says, shape ``(images,)``, bool.
        answered: Whether there was an answer, same shape.

    Returns:
        Precision and recall, NaN where nothing was answered, no image shows it, or only top images were judged.

    Example:
        >>> images = [JudgedImage(0, 9.0, "decile", 10, weight=10.0), JudgedImage(1, 0.0, "decile", 1, weight=30.0)]
        >>> precision_and_recall(images, np.array([True, True]), np.array([True, True]))
        (1.0, 0.25)

    """
    if all(image.role != "decile" for image in judged):
        return np.nan, np.nan
    weights = np.array([image.weight for image in judged]) * answered
    active = np.array([image.decile == HIGHEST_DECILE for image in judged], dtype=bool)
    right = (weights * answers)[active].sum()
    said = (weights * answers).sum()
    precision = float(right / weights[active].sum()) if weights[active].sum() else np.nan
    return precision, float(right / said) if said else np.nan


def discrimination(scores: np.ndarray, of_others: np.ndarray) -> float:
    """Return whether a label fits images better than other labels do.

    Args:
        scores: How well the label fits each image, shape ``(images,)``; NaN where there was no answer.
        of_others: How well the others do, shape ``(others, images)``.

    Returns:
        1 if its mean over the images that every label has an answer for is the highest, 0 if another's is higher, and
        one part of 1 where several share the highest; NaN if there is no such image or no other label.

    Example:
        >>> discrimination(np.array([0.9, 0.5]), np.array([[0.9, 0.5], [0.1, 0.3]]))
        0.5

    """
    together = np.isfinite(scores) & np.isfinite(of_others).all(axis=0)
    if not len(of_others) or not together.any():
        return np.nan
    mean, others = scores[together].mean(), of_others[:, together].mean(axis=1)
    if (others > mean).any():
        return 0.0
    return float(1 / (1 + (others == mean).sum()))
