"""Metrics: what judges labels."""

from lightning_dissect.metrics.base import METRICS, NeuronMetric
from lightning_dissect.metrics.correlation import PearsonCorrelation

__all__ = ["METRICS", "NeuronMetric", "PearsonCorrelation"]
