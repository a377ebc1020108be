"""How far a label can be trusted: intervals, nulls and a verdict."""

from lightning_dissect.trust.concept_axes import ConceptAxes
from lightning_dissect.trust.discovery import exceedance_p_values, false_discovery_q_values
from lightning_dissect.trust.floor import UntrainedFloor
from lightning_dissect.trust.intervals import QualityIntervals, quality_intervals
from lightning_dissect.trust.measure import FEWEST_IMAGES, TrustColumns, assess_labels, measure_trust
from lightning_dissect.trust.permutation import permutation_p_values
from lightning_dissect.trust.principal_components import principal_components
from lightning_dissect.trust.regression import ConceptRegression
from lightning_dissect.trust.trust_judge import TrustJudge
from lightning_dissect.trust.untrained import calibrating, has_gathered_statistics, untrained_copy
from lightning_dissect.trust.untrained_networks import UntrainedNetworks
from lightning_dissect.trust.verdict import TrustTable, Verdict

__all__ = [
    "FEWEST_IMAGES",
    "ConceptAxes",
    "ConceptRegression",
    "QualityIntervals",
    "TrustColumns",
    "TrustJudge",
    "TrustTable",
    "UntrainedFloor",
    "UntrainedNetworks",
    "Verdict",
    "assess_labels",
    "calibrating",
    "exceedance_p_values",
    "false_discovery_q_values",
    "has_gathered_statistics",
    "measure_trust",
    "permutation_p_values",
    "principal_components",
    "quality_intervals",
    "untrained_copy",
]
