"""Metrics: what judges labels."""

from lightning_dissect.metrics.auc import AUC, InverseAUC
from lightning_dissect.metrics.auprc import AUPRC, InverseAUPRC
from lightning_dissect.metrics.base import METRICS, MetricTraits, NeuronMetric
from lightning_dissect.metrics.binarise import binarise, sparse_neurons
from lightning_dissect.metrics.chosen import chosen_metrics, describe_metric, passing_metrics
from lightning_dissect.metrics.combinations import (
    CombinedAUC,
    CombinedBalancedAccuracy,
    PrecisionBalancedAccuracy,
    PrecisionInverseBalancedAccuracy,
    RecallAUC,
    RecallInverseAUC,
)
from lightning_dissect.metrics.correlation import PearsonCorrelation
from lightning_dissect.metrics.cosine import Cosine
from lightning_dissect.metrics.label_changes import extra_labels, missing_labels
from lightning_dissect.metrics.mad import MeanActivationDifference
from lightning_dissect.metrics.meta_auprc import (
    MetaAUPRCResult,
    MetaAUPRCTable,
    SplitChoice,
    compare_metrics,
    meta_auprc,
)
from lightning_dissect.metrics.monitored import monitor_warnings
from lightning_dissect.metrics.overlap import (
    F1,
    Accuracy,
    BalancedAccuracy,
    InverseBalancedAccuracy,
    IoU,
    Precision,
    Recall,
)
from lightning_dissect.metrics.pairwise import PairwiseMetric
from lightning_dissect.metrics.sanity_experiment import experimental_sanity_check
from lightning_dissect.metrics.sanity_table import SanityResult, SanityTable
from lightning_dissect.metrics.sanity_theory import theoretical_sanity_check
from lightning_dissect.metrics.spearman import SpearmanCorrelation
from lightning_dissect.metrics.top_and_random import CorrelationTopAndRandom, SpearmanTopAndRandom
from lightning_dissect.metrics.undefined import UndefinedScores, explain_undefined
from lightning_dissect.metrics.wpmi import WPMI

__all__ = [
    "AUC",
    "AUPRC",
    "F1",
    "METRICS",
    "WPMI",
    "Accuracy",
    "BalancedAccuracy",
    "CombinedAUC",
    "CombinedBalancedAccuracy",
    "CorrelationTopAndRandom",
    "Cosine",
    "InverseAUC",
    "InverseAUPRC",
    "InverseBalancedAccuracy",
    "IoU",
    "MeanActivationDifference",
    "MetaAUPRCResult",
    "MetaAUPRCTable",
    "MetricTraits",
    "NeuronMetric",
    "PairwiseMetric",
    "PearsonCorrelation",
    "Precision",
    "PrecisionBalancedAccuracy",
    "PrecisionInverseBalancedAccuracy",
    "Recall",
    "RecallAUC",
    "RecallInverseAUC",
    "SanityResult",
    "SanityTable",
    "SpearmanCorrelation",
    "SpearmanTopAndRandom",
    "SplitChoice",
    "UndefinedScores",
    "binarise",
    "chosen_metrics",
    "compare_metrics",
    "describe_metric",
    "experimental_sanity_check",
    "explain_undefined",
    "extra_labels",
    "meta_auprc",
    "missing_labels",
    "monitor_warnings",
    "passing_metrics",
    "sparse_neurons",
    "theoretical_sanity_check",
]
