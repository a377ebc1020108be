"""Labels of an open vocabulary: scored by images made for them."""

from lightning_dissect.label_refinement import CoSyScore
from lightning_dissect.refine.label_files import GivenLabel, read_labels
from lightning_dissect.refine.scoring import CoSySummary, cosy_score, summarise_cosy

__all__ = ["CoSyScore", "CoSySummary", "GivenLabel", "cosy_score", "read_labels", "summarise_cosy"]
