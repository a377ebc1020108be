"""What was published of the sanity checks, to put beside results of one's own."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

Kind = Literal["theoretical", "experimental"]
"""A check on ideal neurons, or one on recorded neurons whose function is known."""

Labels = Literal["missing", "extra"]
"""What is wrong with the labels."""

CHECKS: tuple[tuple[Labels, Kind], ...] = (
    ("missing", "experimental"),
    ("missing", "theoretical"),
    ("extra", "experimental"),
    ("extra", "theoretical"),
)
"""The columns of the published table, in its order."""

PASS_SHARE = 0.9
"""A metric passes a check if its score falls in more than this share of the cases."""

_PERCENT: Mapping[str, tuple[float | None, float, float | None, float]] = {
    "recall": (98.66, 100, 0.00, 0.00),
    "precision": (45.73, 0.00, 99.81, 100),
    "f1": (93.68, 100, 99.82, 100),
    "iou": (93.62, 100, 99.81, 100),
    "accuracy": (23.79, 60.00, 70.37, 69.68),
    "balanced_accuracy": (98.65, 100, 53.67, 60.00),
    "inverse_balanced_accuracy": (64.18, 60.00, 99.50, 100),
    "auc": (94.96, 100, 59.18, 60.00),
    "inverse_auc": (52.81, 60.00, 99.99, 100),
    "correlation": (99.41, 100, 99.92, 100),
    "correlation_top_and_random": (87.83, 100, 60.26, 43.64),
    "spearman": (64.05, 67.20, 49.21, 44.08),
    "spearman_top_and_random": (80.04, 100, 59.81, 19.68),
    "cosine": (99.45, 100, 99.26, 100),
    "wpmi": (95.89, 100, 58.84, 100),
    "mad": (59.81, 60.00, 99.34, 100),
    "auprc": (95.61, 100, 99.46, 100),
    "inverse_auprc": (99.15, 100, 95.58, 89.54),
    "combined_auc": (None, 100, None, 100),
    "combined_balanced_accuracy": (None, 100, None, 100),
    "recall_auc": (None, 100, None, 60.00),
    "recall_inverse_auc": (None, 100, None, 100),
    "precision_balanced_accuracy": (None, 100, None, 100),
    "precision_inverse_balanced_accuracy": (None, 60.00, None, 100),
}

PUBLISHED: Mapping[tuple[str, Labels, Kind], float] = MappingProxyType(
    {
        (metric, labels, kind): percent / 100
        for metric, row in _PERCENT.items()
        for (labels, kind), percent in zip(CHECKS, row, strict=True)
        if percent is not None
    }
)
"""Share of the cases in which the score falls, by metric and check, of the five frequencies or the eight settings.

Source: Oikarinen, Yan and Weng, Evaluating Neuron Explanations, ICML 2025. https://arxiv.org/abs/2506.05774
"""
