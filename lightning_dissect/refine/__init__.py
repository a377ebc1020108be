"""Labels of an open vocabulary: images of concepts, scores by them, and what is left when a concept is removed."""

from lightning_dissect.label_refinement import CoSyScore
from lightning_dissect.refine.ablation import (
    Ablation,
    AblationEffect,
    ConceptCheck,
    ConceptRemover,
    ImagePairs,
    RemovedConcept,
    ablate,
    ablation_effect,
)
from lightning_dissect.refine.concept_check import EncoderCheck
from lightning_dissect.refine.diffusion import DiffusionGenerator
from lightning_dissect.refine.edit_remover import EditRemover
from lightning_dissect.refine.label_files import GivenLabel, read_labels
from lightning_dissect.refine.retrieval import RetrievalGenerator
from lightning_dissect.refine.retrieval_remover import RetrievalRemover
from lightning_dissect.refine.scoring import CoSySummary, cosy_score, summarise_cosy

__all__ = [
    "Ablation",
    "AblationEffect",
    "CoSyScore",
    "CoSySummary",
    "ConceptCheck",
    "ConceptRemover",
    "DiffusionGenerator",
    "EditRemover",
    "EncoderCheck",
    "GivenLabel",
    "ImagePairs",
    "RemovedConcept",
    "RetrievalGenerator",
    "RetrievalRemover",
    "ablate",
    "ablation_effect",
    "cosy_score",
    "read_labels",
    "summarise_cosy",
]
