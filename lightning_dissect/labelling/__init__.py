"""From activations and a concept matrix to labels."""

from lightning_dissect.labelling.clip_dissect import CLIPDissect
from lightning_dissect.labelling.concept_source import (
    AnnotatedConcepts,
    ConceptSource,
    EncodedConcepts,
    resolve_concepts,
)

__all__ = ["AnnotatedConcepts", "CLIPDissect", "ConceptSource", "EncodedConcepts", "resolve_concepts"]
