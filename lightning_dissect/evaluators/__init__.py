"""Judges of labels that look at images: do they show what the label says?"""

from lightning_dissect.evaluators.base import (
    EVALUATORS,
    Answers,
    Encoded,
    Evidence,
    LabelEvaluator,
    Questions,
)
from lightning_dissect.evaluators.cases import Case, discrimination, judge, precision_and_recall
from lightning_dissect.evaluators.chosen import chosen_evaluators
from lightning_dissect.evaluators.concept_proportion import ConceptProportion
from lightning_dissect.evaluators.embedding_similarity import EmbeddingPercentile, EmbeddingSimilarity
from lightning_dissect.evaluators.encoder_evaluator import EncoderEvaluator
from lightning_dissect.evaluators.plan import EvaluationPlan
from lightning_dissect.evaluators.sampling import ImageSampling, JudgedImageTable

__all__ = [
    "EVALUATORS",
    "Answers",
    "Case",
    "ConceptProportion",
    "EmbeddingPercentile",
    "EmbeddingSimilarity",
    "Encoded",
    "EncoderEvaluator",
    "EvaluationPlan",
    "Evidence",
    "ImageSampling",
    "JudgedImageTable",
    "LabelEvaluator",
    "Questions",
    "chosen_evaluators",
    "discrimination",
    "judge",
    "precision_and_recall",
]
