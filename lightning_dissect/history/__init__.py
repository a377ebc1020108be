"""What labels do across validations."""

from lightning_dissect.history.alarms import ALARMS, Alarm, AlarmRule
from lightning_dissect.history.changes import LabelChanges, compare, coverage
from lightning_dissect.history.class_collapse import ClassCollapse
from lightning_dissect.history.commitment import SETTLED_AFTER, commitment_steps, is_settled
from lightning_dissect.history.concept_loss import ConceptLoss
from lightning_dissect.history.curves import ALL_LAYERS, CURVES, RunCurves, curves
from lightning_dissect.history.history import DissectionHistory
from lightning_dissect.history.lifetimes import Lifetimes, median_life
from lightning_dissect.history.observer import Observation, RunObserver
from lightning_dissect.history.snapshot import Snapshot
from lightning_dissect.history.watch_list import WatchList

__all__ = [
    "ALARMS",
    "ALL_LAYERS",
    "CURVES",
    "SETTLED_AFTER",
    "Alarm",
    "AlarmRule",
    "ClassCollapse",
    "ConceptLoss",
    "DissectionHistory",
    "LabelChanges",
    "Lifetimes",
    "Observation",
    "RunCurves",
    "RunObserver",
    "Snapshot",
    "WatchList",
    "commitment_steps",
    "compare",
    "coverage",
    "curves",
    "is_settled",
    "median_life",
]
