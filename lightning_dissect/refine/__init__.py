"""Labels of an open vocabulary: searched for with images made for them, and scored by others."""

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
from lightning_dissect.refine.bank import ConceptBank, NeuronReader
from lightning_dissect.refine.base import (
    GENERATORS,
    PROPOSERS,
    ConceptProposer,
    ImageGenerator,
    ImagePool,
    NeedsSurroundings,
    NoImageError,
    Proposal,
    ProposalRequest,
    ScoredName,
    Surroundings,
)
from lightning_dissect.refine.chat_model import ChatModel, Message
from lightning_dissect.refine.chat_proposer import ChatProposer
from lightning_dissect.refine.concept_check import EncoderCheck
from lightning_dissect.refine.concept_names import KnownConcepts, canonical, is_repeat
from lightning_dissect.refine.diffusion import DiffusionGenerator
from lightning_dissect.refine.edit_remover import EditRemover
from lightning_dissect.refine.http_chat import HTTPChat
from lightning_dissect.refine.label_files import GivenLabel, read_labels
from lightning_dissect.refine.novelty import novelty
from lightning_dissect.refine.plan import RefinementPlan
from lightning_dissect.refine.planted import PlantedNetwork, PlantedUnit
from lightning_dissect.refine.pool_sampler import PoolSampler
from lightning_dissect.refine.refinement import ConceptRefinement, Refined
from lightning_dissect.refine.retrieval import RetrievalGenerator
from lightning_dissect.refine.retrieval_remover import RetrievalRemover
from lightning_dissect.refine.scoring import CoSySummary, cosy_score, summarise_cosy
from lightning_dissect.refine.search import RefinementTarget
from lightning_dissect.refine.senses import find_senses
from lightning_dissect.refine.spending import SearchBudget
from lightning_dissect.refine.transformers_chat import TransformersChat
from lightning_dissect.refine.vocabulary_proposer import VocabularyProposer
from lightning_dissect.refine.widest import widest_as_good

__all__ = [
    "GENERATORS",
    "PROPOSERS",
    "Ablation",
    "AblationEffect",
    "ChatModel",
    "ChatProposer",
    "CoSyScore",
    "CoSySummary",
    "ConceptBank",
    "ConceptCheck",
    "ConceptProposer",
    "ConceptRefinement",
    "ConceptRemover",
    "DiffusionGenerator",
    "EditRemover",
    "EncoderCheck",
    "GivenLabel",
    "HTTPChat",
    "ImageGenerator",
    "ImagePairs",
    "ImagePool",
    "KnownConcepts",
    "Message",
    "NeedsSurroundings",
    "NeuronReader",
    "NoImageError",
    "PlantedNetwork",
    "PlantedUnit",
    "PoolSampler",
    "Proposal",
    "ProposalRequest",
    "Refined",
    "RefinementPlan",
    "RefinementTarget",
    "RemovedConcept",
    "RetrievalGenerator",
    "RetrievalRemover",
    "ScoredName",
    "SearchBudget",
    "Surroundings",
    "TransformersChat",
    "VocabularyProposer",
    "ablate",
    "ablation_effect",
    "canonical",
    "cosy_score",
    "find_senses",
    "is_repeat",
    "novelty",
    "read_labels",
    "summarise_cosy",
    "widest_as_good",
]
