"""Slow transcriptions of the metrics of NeuronEval: one pair at a time, in exact arithmetic where it is cheap."""

import math

import numpy as np
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import average_precision_score, roc_auc_score


def active(a, alpha):
    """Images that activate a neuron, by the published cutoff and the rule for sparse and resting neurons."""
    if alpha is None:
        return a.astype(bool)
    count = math.ceil(round(alpha * len(a), 9))
    cutoff = sorted(a)[-count]
    if np.count_nonzero(a) < count:
        return a > 0
    return a > cutoff if cutoff == a.min() else a >= cutoff


def overlap(name, b, d):
    both, only_neuron, only_concept = (b & d).sum(), (b & ~d).sum(), (~b & d).sum()
    neither = (~b & ~d).sum()
    with np.errstate(all="ignore"):
        return {
            "recall": lambda: both / b.sum(),
            "precision": lambda: both / d.sum(),
            "f1": lambda: 2 * both / (2 * both + only_neuron + only_concept),
            "iou": lambda: both / (both + only_neuron + only_concept),
            "accuracy": lambda: (both + neither) / len(b),
            "balanced_accuracy": lambda: (both / b.sum() + neither / (~b).sum()) / 2,
            "inverse_balanced_accuracy": lambda: (both / d.sum() + neither / (~d).sum()) / 2,
        }[name]()


def varies(*values):
    return all(len(np.unique(value)) > 1 for value in values)


def roc(truth, score):
    return roc_auc_score(truth, score) if varies(truth) else math.nan


def average_precision(truth, score):
    return average_precision_score(truth, score) if truth.any() else math.nan


def harmonic(x, y):
    return 0.0 if x + y == 0 else 2 * x * y / (x + y)


COMBINATIONS = {
    "combined_auc": ("auc", "inverse_auc"),
    "combined_balanced_accuracy": ("balanced_accuracy", "inverse_balanced_accuracy"),
    "recall_auc": ("recall", "auc"),
    "recall_inverse_auc": ("recall", "inverse_auc"),
    "precision_balanced_accuracy": ("precision", "balanced_accuracy"),
    "precision_inverse_balanced_accuracy": ("precision", "inverse_balanced_accuracy"),
}


def wpmi(b, c):
    return np.log(np.maximum(c[b], 1e-8)).mean() - np.log(c.mean()) if c.mean() > 0 else math.nan


def binarised(name, b, c):
    of_presence = {"auc": roc, "auprc": average_precision, "wpmi": wpmi}
    return of_presence[name](b, c) if name in of_presence else overlap(name, b, c >= 0.5)


def continuous(name, a, c):
    d = c >= 0.5
    with np.errstate(all="ignore"):
        return {
            "correlation": lambda: pearsonr(a, c).statistic if varies(a, c) else math.nan,
            "spearman": lambda: spearmanr(a, c).statistic if varies(a, c) else math.nan,
            "cosine": lambda: (a @ c) / np.sqrt((a @ a) * (c @ c)),
            "mad": lambda: a[d].mean() - a[~d].mean() if varies(d) else math.nan,
            "inverse_auc": lambda: roc(d, a),
            "inverse_auprc": lambda: average_precision(d, a),
        }[name]()


def metric(name, a, c, alpha):
    """Score one pair; NaN where undefined."""
    if not (np.isfinite(a).all() and np.isfinite(c).all() and varies(a)):
        return math.nan
    if name in COMBINATIONS:
        return harmonic(*(metric(part, a, c, alpha) for part in COMBINATIONS[name]))
    if name in {"correlation", "spearman", "cosine", "mad", "inverse_auc", "inverse_auprc"}:
        return continuous(name, a, c)
    b = active(a, alpha)
    return binarised(name, b, c) if b.any() else math.nan
