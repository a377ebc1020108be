"""Judges of labels that look at images: do they show what the label says?"""

from lightning_dissect.evaluators.base import (
    EVALUATORS,
    Answers,
    Encoded,
    Evidence,
    LabelEvaluator,
    Questions,
)

__all__ = ["EVALUATORS", "Answers", "Encoded", "Evidence", "LabelEvaluator", "Questions"]
