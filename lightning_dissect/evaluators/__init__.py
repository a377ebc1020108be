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
from lightning_dissect.evaluators.image_text_matching import ImageTextMatching
from lightning_dissect.evaluators.plan import EvaluationPlan
from lightning_dissect.evaluators.sampling import ImageSampling, JudgedImageTable
from lightning_dissect.evaluators.vqa import VisualQuestionAnswering

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
    "ImageTextMatching",
    "JudgedImageTable",
    "LabelEvaluator",
    "Questions",
    "VisualQuestionAnswering",
    "chosen_evaluators",
    "discrimination",
    "judge",
    "precision_and_recall",
]
