"""What labels do across validations."""

from lightning_dissect.history.history import DissectionHistory
from lightning_dissect.history.matching import UnitMatching, match_units
from lightning_dissect.history.snapshot import Snapshot

__all__ = ["DissectionHistory", "Snapshot", "UnitMatching", "match_units"]
