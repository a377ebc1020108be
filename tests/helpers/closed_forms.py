"""What the theoretical sanity checks tend to as images grow: change of score over range, by frequency g of the concept.

The formulas are for half of the labels missing and for twice as many labels.
"""

import math


def harmonic(x, y):
    return 2 * x * y / (x + y)


def pearson_missing(g):
    return (math.sqrt((1 - g) / (2 - g)) - 1) / 2


def pearson_extra(g):
    return (math.sqrt((1 - 2 * g) / (2 * (1 - g))) - 1) / 2


def q(g):
    return g / (1 - g)


def r(g):
    return g / (2 - g)


WPMI_RANGE = 9.2103 + 13.957

CLOSED_FORMS = {
    "recall": (lambda g: -1 / 2, lambda g: 0),
    "precision": (lambda g: 0, lambda g: -1 / 2),
    "f1": (lambda g: -1 / 3, lambda g: -1 / 3),
    "iou": (lambda g: -1 / 2, lambda g: -1 / 2),
    "accuracy": (lambda g: -g / 2, lambda g: -g),
    "balanced_accuracy": (lambda g: -1 / 4, lambda g: -q(g) / 2),
    "auc": (lambda g: -1 / 4, lambda g: -q(g) / 2),
    "inverse_balanced_accuracy": (lambda g: -r(g) / 2, lambda g: -1 / 4),
    "inverse_auc": (lambda g: -r(g) / 2, lambda g: -1 / 4),
    "correlation": (pearson_missing, pearson_extra),
    "spearman": (pearson_missing, pearson_extra),
    "cosine": (lambda g: (math.sqrt(1 / 2) - 1) / 2, lambda g: (math.sqrt(1 / 2) - 1) / 2),
    "wpmi": (lambda g: (math.log(1e-8) / 2 + math.log(2)) / WPMI_RANGE, lambda g: -math.log(2) / WPMI_RANGE),
    "mad": (lambda g: -r(g), lambda g: -1 / 2),
    "auprc": (lambda g: -(1 / 2 - g / 2), lambda g: -1 / 2),
    "inverse_auprc": (lambda g: -1 / 2, lambda g: -(1 / 2 - g)),
    "combined_auc": (lambda g: harmonic(3 / 4, 1 - r(g) / 2) - 1, lambda g: harmonic(1 - q(g) / 2, 3 / 4) - 1),
    "combined_balanced_accuracy": (
        lambda g: harmonic(3 / 4, 1 - r(g) / 2) - 1,
        lambda g: harmonic(1 - q(g) / 2, 3 / 4) - 1,
    ),
    "recall_auc": (lambda g: -0.4, lambda g: harmonic(1, 1 - q(g) / 2) - 1),
    "recall_inverse_auc": (lambda g: harmonic(1 / 2, 1 - r(g) / 2) - 1, lambda g: -1 / 7),
    "precision_balanced_accuracy": (lambda g: -1 / 7, lambda g: harmonic(1 / 2, 1 - q(g) / 2) - 1),
    "precision_inverse_balanced_accuracy": (lambda g: harmonic(1, 1 - r(g) / 2) - 1, lambda g: -0.4),
}
"""Change with labels missing and with extra ones, by metric."""

RANDOM_TIES = (lambda g: -3 * g * (1 - g) / 4, lambda g: -3 * g**2 / 2)
"""The same for Spearman's correlation with ties broken at random."""

TOP_AND_RANDOM = {
    "missing": tuple(change / 0.98 for change in (-0.272, -0.217, -0.208, -0.207, -0.207)),
    "extra": tuple(change / 0.98 for change in (-0.483, -0.048, -0.005, -0.0005, -0.0001)),
}
"""Means over 3,000 draws of 25 active and 25 random images for the frequencies of the table.

They were taken of the published form, which is 49/50 of the coefficient.
"""

TOLERANCES = {0.499: 0.001, 0.1: 0.001, 0.01: 0.003, 0.001: 0.01, 0.0001: 0.03}
"""Three standard errors of the draw of the labels at 500,000 images, by frequency; small samples are biased too."""

FALLS = {"missing": dict.fromkeys(CLOSED_FORMS, 1.0), "extra": dict.fromkeys(CLOSED_FORMS, 1.0)}
FALLS["missing"] |= {"precision": 0.0, "correlation_top_and_random": 1.0, "spearman_top_and_random": 1.0}
FALLS["missing"] |= dict.fromkeys(
    ["accuracy", "inverse_balanced_accuracy", "inverse_auc", "mad", "precision_inverse_balanced_accuracy"], 0.6
)
FALLS["extra"] |= {"recall": 0.0, "accuracy": 0.7, "inverse_auprc": 0.9}
FALLS["extra"] |= dict.fromkeys(["balanced_accuracy", "auc", "recall_auc"], 0.6)
FALLS["extra"] |= dict.fromkeys(["correlation_top_and_random", "spearman_top_and_random"], 0.4336)
"""Share of the draws in which the score falls, in the mean over the five frequencies."""

COIN_FLIPS = {"accuracy", "inverse_auprc"}
"""Metrics whose change with extra labels is the threshold itself at one of the frequencies."""
