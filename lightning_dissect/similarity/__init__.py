"""Similarity functions: what chooses labels."""

from lightning_dissect.similarity.base import (
    SIMILARITIES,
    DigestingScorer,
    PreparableSimilarity,
    Scorer,
    SearchingScorer,
    Similarity,
    find_best,
    identity,
    score_all,
)
from lightning_dissect.similarity.concept_blocks import check_activations
from lightning_dissect.similarity.correlation import Correlation
from lightning_dissect.similarity.cosine import Cosine
from lightning_dissect.similarity.cosine_cubed import CosineCubed
from lightning_dissect.similarity.cross_products import CrossProducts
from lightning_dissect.similarity.live import finite_neurons, live_neurons
from lightning_dissect.similarity.rank_reorder import RankReorder
from lightning_dissect.similarity.soft_wpmi import SoftWPMI
from lightning_dissect.similarity.whole_scorer import prepare
from lightning_dissect.similarity.wpmi import WPMI

__all__ = [
    "SIMILARITIES",
    "WPMI",
    "Correlation",
    "Cosine",
    "CosineCubed",
    "CrossProducts",
    "DigestingScorer",
    "PreparableSimilarity",
    "RankReorder",
    "Scorer",
    "SearchingScorer",
    "Similarity",
    "SoftWPMI",
    "check_activations",
    "find_best",
    "finite_neurons",
    "identity",
    "live_neurons",
    "prepare",
    "score_all",
]
