"""How far a label can be trusted: intervals, nulls and a verdict."""

from lightning_dissect.trust.discovery import exceedance_p_values, false_discovery_q_values
from lightning_dissect.trust.floor import UntrainedFloor
from lightning_dissect.trust.intervals import QualityIntervals, quality_intervals
from lightning_dissect.trust.permutation import permutation_p_values
from lightning_dissect.trust.regression import ConceptRegression, principal_components
from lightning_dissect.trust.untrained import calibrating, has_gathered_statistics, untrained_copy
from lightning_dissect.trust.untrained_networks import UntrainedNetworks
from lightning_dissect.trust.verdict import LabelTrust, TrustTable, Verdict, assess_labels

__all__ = [
    "ConceptRegression",
    "LabelTrust",
    "QualityIntervals",
    "TrustTable",
    "UntrainedFloor",
    "UntrainedNetworks",
    "Verdict",
    "assess_labels",
    "calibrating",
    "exceedance_p_values",
    "false_discovery_q_values",
    "has_gathered_statistics",
    "permutation_p_values",
    "principal_components",
    "quality_intervals",
    "untrained_copy",
]
