"""What labels do across validations."""

from lightning_dissect.history.changes import LabelChanges, compare, coverage
from lightning_dissect.history.commitment import SETTLED_AFTER, commitment_steps, is_settled
from lightning_dissect.history.comparison import LayerComparison, RunComparison, compare_runs
from lightning_dissect.history.curves import ALL_LAYERS, CURVES, RunCurves, curves
from lightning_dissect.history.history import DissectionHistory
from lightning_dissect.history.lifetimes import Lifetimes, median_life
from lightning_dissect.history.matching import UnitMatching, match_units
from lightning_dissect.history.snapshot import Snapshot

__all__ = [
    "ALL_LAYERS",
    "CURVES",
    "SETTLED_AFTER",
    "DissectionHistory",
    "LabelChanges",
    "LayerComparison",
    "Lifetimes",
    "RunComparison",
    "RunCurves",
    "Snapshot",
    "UnitMatching",
    "commitment_steps",
    "compare",
    "compare_runs",
    "coverage",
    "curves",
    "is_settled",
    "match_units",
    "median_life",
]
