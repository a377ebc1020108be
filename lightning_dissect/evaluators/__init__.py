"""Judges of labels that look at images: do they show what the label says?"""

from lightning_dissect.evaluators.base import (
    EVALUATORS,
    Answers,
    Encoded,
    Evidence,
    LabelEvaluator,
    Questions,
)
from lightning_dissect.evaluators.image_text_matching import ImageTextMatching
from lightning_dissect.evaluators.vqa import VisualQuestionAnswering

__all__ = [
    "EVALUATORS",
    "Answers",
    "Encoded",
    "Evidence",
    "ImageTextMatching",
    "LabelEvaluator",
    "Questions",
    "VisualQuestionAnswering",
]
