"""Labels of an open vocabulary: searched for with images made for them, and scored by others."""

from lightning_dissect.label_refinement import CoSyScore
from lightning_dissect.refine.bank import ConceptBank, NeuronReader, NoImagesError
from lightning_dissect.refine.base import (
    GENERATORS,
    PROPOSERS,
    ConceptProposer,
    ImageGenerator,
    ImagePool,
    NeedsSurroundings,
    Proposal,
    ProposalRequest,
    ScoredName,
    Surroundings,
)
from lightning_dissect.refine.chat_model import ChatModel, Message
from lightning_dissect.refine.chat_proposer import ChatProposer
from lightning_dissect.refine.http_chat import HTTPChat
from lightning_dissect.refine.label_files import GivenLabel, read_labels
from lightning_dissect.refine.plan import RefinementPlan
from lightning_dissect.refine.planted import PlantedNetwork, PlantedUnit
from lightning_dissect.refine.pool_sampler import PoolSampler
from lightning_dissect.refine.refinement import ConceptRefinement, Refined
from lightning_dissect.refine.scoring import CoSySummary, cosy_score, summarise_cosy
from lightning_dissect.refine.search import RefinementTarget
from lightning_dissect.refine.spending import SearchBudget
from lightning_dissect.refine.transformers_chat import TransformersChat

__all__ = [
    "GENERATORS",
    "PROPOSERS",
    "ChatModel",
    "ChatProposer",
    "CoSyScore",
    "CoSySummary",
    "ConceptBank",
    "ConceptProposer",
    "ConceptRefinement",
    "GivenLabel",
    "HTTPChat",
    "ImageGenerator",
    "ImagePool",
    "Message",
    "NeedsSurroundings",
    "NeuronReader",
    "NoImagesError",
    "PlantedNetwork",
    "PlantedUnit",
    "PoolSampler",
    "Proposal",
    "ProposalRequest",
    "Refined",
    "RefinementPlan",
    "RefinementTarget",
    "ScoredName",
    "SearchBudget",
    "Surroundings",
    "TransformersChat",
    "cosy_score",
    "read_labels",
    "summarise_cosy",
]
