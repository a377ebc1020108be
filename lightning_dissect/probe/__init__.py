"""What the network is probed with: images by sample id, and concepts."""

from lightning_dissect.probe.annotations import annotation_matrix, annotation_presence
from lightning_dissect.probe.content_hash import content_ids
from lightning_dissect.probe.hierarchy import ConceptHierarchy
from lightning_dissect.probe.images import Denormalize, find_images, find_targets, out_of_range, to_uint8
from lightning_dissect.probe.model_input import ModelInput
from lightning_dissect.probe.normalisation import (
    Normalisation,
    find_normalisation,
    find_normalisations,
    given_denormalize,
)
from lightning_dissect.probe.probe import ProbeBatch, ProbeSet, flatten_loaders, probe_loader
from lightning_dissect.probe.reread import read_image
from lightning_dissect.probe.sample_ids import SampleOrder, index_ids, locate
from lightning_dissect.probe.splitmix import scattered_ids
from lightning_dissect.probe.thumbnails import Thumbnails
from lightning_dissect.probe.vocabulary import VOCABULARIES, ConceptVocabulary, resolve_vocabulary
from lightning_dissect.probe.wordnet import read_hypernyms

__all__ = [
    "VOCABULARIES",
    "ConceptHierarchy",
    "ConceptVocabulary",
    "Denormalize",
    "ModelInput",
    "Normalisation",
    "ProbeBatch",
    "ProbeSet",
    "SampleOrder",
    "Thumbnails",
    "annotation_matrix",
    "annotation_presence",
    "content_ids",
    "find_images",
    "find_normalisation",
    "find_normalisations",
    "find_targets",
    "flatten_loaders",
    "given_denormalize",
    "index_ids",
    "locate",
    "out_of_range",
    "probe_loader",
    "read_hypernyms",
    "read_image",
    "resolve_vocabulary",
    "scattered_ids",
    "to_uint8",
]
