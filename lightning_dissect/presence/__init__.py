"""Concept presence: the probability that a concept is in an image, and where it comes from."""

from lightning_dissect.presence.base import ALL_IMAGES, PresenceSource
from lightning_dissect.presence.calibration import Calibration, Reliability, calibrate, reliability
from lightning_dissect.presence.class_index import ClassPresence
from lightning_dissect.presence.fixed_width import fixed_width_columns
from lightning_dissect.presence.given import GivenPresence
from lightning_dissect.presence.read import read_presence
from lightning_dissect.presence.sigmoid import SIGMOID_CONSTANTS, SigmoidConstants, SigmoidPresence
from lightning_dissect.presence.softmax import (
    SHARPNESS,
    ConceptPresence,
    presence_lead,
    presence_normaliser,
    presence_temperature,
)
from lightning_dissect.presence.union import UnionPresence

__all__ = [
    "ALL_IMAGES",
    "SHARPNESS",
    "SIGMOID_CONSTANTS",
    "Calibration",
    "ClassPresence",
    "ConceptPresence",
    "GivenPresence",
    "PresenceSource",
    "Reliability",
    "SigmoidConstants",
    "SigmoidPresence",
    "UnionPresence",
    "calibrate",
    "fixed_width_columns",
    "presence_lead",
    "presence_normaliser",
    "presence_temperature",
    "read_presence",
    "reliability",
]
