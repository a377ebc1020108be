"""From activations and concepts to labels."""

from lightning_dissect.labelling.clip_dissect import CLIPDissect, PreparedLabelling
from lightning_dissect.labelling.concept_source import (
    AnnotatedConcepts,
    ConceptSource,
    EncodedConcepts,
    resolve_concepts,
)
from lightning_dissect.labelling.label_judge import LabelJudge
from lightning_dissect.labelling.label_table import LabelTable
from lightning_dissect.labelling.shared_presence import shared_presence
from lightning_dissect.labelling.specificity import label_specificity

__all__ = [
    "AnnotatedConcepts",
    "CLIPDissect",
    "ConceptSource",
    "EncodedConcepts",
    "LabelJudge",
    "LabelTable",
    "PreparedLabelling",
    "label_specificity",
    "resolve_concepts",
    "shared_presence",
]
