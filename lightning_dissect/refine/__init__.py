"""Labels of an open vocabulary: searched for, and scored by images made for them."""

from lightning_dissect.label_refinement import CoSyScore
from lightning_dissect.refine.concept_names import KnownConcepts, canonical, is_repeat
from lightning_dissect.refine.label_files import GivenLabel, read_labels
from lightning_dissect.refine.novelty import novelty
from lightning_dissect.refine.scoring import CoSySummary, cosy_score, summarise_cosy
from lightning_dissect.refine.senses import find_senses
from lightning_dissect.refine.vocabulary_proposer import VocabularyProposer

__all__ = [
    "CoSyScore",
    "CoSySummary",
    "GivenLabel",
    "KnownConcepts",
    "VocabularyProposer",
    "canonical",
    "cosy_score",
    "find_senses",
    "is_repeat",
    "novelty",
    "read_labels",
    "summarise_cosy",
]
