"""Labels of an open vocabulary: scored by images made for them, proposed by language models."""

from lightning_dissect.label_refinement import CoSyScore
from lightning_dissect.refine.chat_model import ChatModel, Message
from lightning_dissect.refine.chat_proposer import ChatProposer
from lightning_dissect.refine.http_chat import HTTPChat
from lightning_dissect.refine.label_files import GivenLabel, read_labels
from lightning_dissect.refine.scoring import CoSySummary, cosy_score, summarise_cosy
from lightning_dissect.refine.transformers_chat import TransformersChat

__all__ = [
    "ChatModel",
    "ChatProposer",
    "CoSyScore",
    "CoSySummary",
    "GivenLabel",
    "HTTPChat",
    "Message",
    "TransformersChat",
    "cosy_score",
    "read_labels",
    "summarise_cosy",
]
