"""Labels for every neuron at every validation, and how far they can be trusted."""

from lightning_dissect.callback import NeuronDissection
from lightning_dissect.dissector import DissectionError, Dissector
from lightning_dissect.encoders import EmbeddingCache
from lightning_dissect.labelling import CLIPDissect
from lightning_dissect.probe import ConceptVocabulary, ProbeSet
from lightning_dissect.recording import ActivationRecorder, PooledActivations
from lightning_dissect.types import DissectionReport, NeuronLabel

__version__ = "0.1.0"

__all__ = [
    "ActivationRecorder",
    "CLIPDissect",
    "ConceptVocabulary",
    "DissectionError",
    "DissectionReport",
    "Dissector",
    "EmbeddingCache",
    "NeuronDissection",
    "NeuronLabel",
    "PooledActivations",
    "ProbeSet",
]
