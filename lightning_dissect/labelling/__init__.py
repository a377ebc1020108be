"""From activations and concepts to labels."""

from lightning_dissect.labelling.calibrated import calibrate_encoder
from lightning_dissect.labelling.chosen_concepts import resolve_concepts
from lightning_dissect.labelling.clip_dissect import CLIPDissect, PreparedLabelling
from lightning_dissect.labelling.concept_source import AnnotatedConcepts, ConceptSource, EncodedConcepts
from lightning_dissect.labelling.label_table import LabelTable
from lightning_dissect.labelling.metric_judge import MetricJudge
from lightning_dissect.labelling.own_presence import OwnPresence
from lightning_dissect.labelling.shared_presence import shared_presence
from lightning_dissect.labelling.specificity import label_specificity
from lightning_dissect.labelling.specificity_judge import SpecificityJudge, with_specificity

__all__ = [
    "AnnotatedConcepts",
    "CLIPDissect",
    "ConceptSource",
    "EncodedConcepts",
    "LabelTable",
    "MetricJudge",
    "OwnPresence",
    "PreparedLabelling",
    "SpecificityJudge",
    "calibrate_encoder",
    "label_specificity",
    "resolve_concepts",
    "shared_presence",
    "with_specificity",
]
