"""CoSy: how much stronger a neuron answers to images of its label than to images of a control set."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from lightning_dissect.checks import check_positive
from lightning_dissect.label_refinement import NOWHERE, CoSyScore, Interval

Array = np.ndarray[Any, np.dtype[np.float64]]
_WEIGHED_IMAGES = 4096
"""Control images up to which their mean and deviation are resampled image by image, not by their joint normal limit."""


@dataclass(frozen=True)
class CoSySummary:
    """The scores of several neurons.

    Args:
        auc: Mean over the neurons that can be scored; NaN if there is none.
        mad: Likewise.
        auc_interval: Where the mean lies, by a bootstrap over neurons; NaN with fewer than two.
        mad_interval: Likewise.
        neurons: Neurons that can be scored.
        not_scorable: Neurons that cannot.

    """

    auc: float
    mad: float
    auc_interval: Interval
    mad_interval: Interval
    neurons: int
    not_scorable: int


def cosy_score(
    control: Tensor, synthetic: Tensor, *, confidence: float = 0.95, resamples: int = 1000, seed: int = 0
) -> CoSyScore:
    r"""Score a label by the activations of its neuron.

    With activations :math:`a` of :math:`n_0` control images and :math:`b` of :math:`n_1` synthetic ones,

    .. math::
        \text{AUC} = \frac{1}{n_0 n_1} \sum_{ij} \left([b_j > a_i] + \tfrac{1}{2} [b_j = a_i]\right), \qquad
        \text{MAD} = \frac{\bar b - \bar a}{s_a}, \quad s_a^2 = \frac{1}{n_0 - 1} \sum_i (a_i - \bar a)^2 .

    Intervals are percentiles over resamples of both sets. Both measures are blind to labels that are too narrow, see
    `lightning_dissect.metrics`: a label of half of what a neuron stands for scores as high as the whole.

    Args:
        control: Activations on control images, shape ``(images,)``. Images that show the concept are best left out.
        synthetic: Activations on images made, or found, for the label, shape ``(images,)``: other images than those by
            which the label was chosen.
        confidence: Coverage of the intervals.
        resamples: Resamples behind the intervals.
        seed: Seed of the resamples.

    Raises:
        ValueError:
            If there are fewer than two control images or no synthetic ones, or an argument is out of range.

    Example:
        >>> import torch
        >>> score = cosy_score(torch.tensor([0.0, 0.0, 1.0, 2.0]), torch.tensor([1.0, 3.0]))
        >>> score.auc, round(score.mad, 4), score.difference, score.u
        (0.8125, 1.3056, 1.25, 1.5)

    References:
        Kopf et al., CoSy: Evaluating Textual Explanations of Neurons, NeurIPS 2024. https://arxiv.org/abs/2405.20331

    """
    _check(control, synthetic, confidence)
    check_positive("resamples", resamples)
    a, b = (values.detach().cpu().double().numpy() for values in (control, synthetic))
    if not (np.isfinite(a).all() and np.isfinite(b).all()) or a.min() == a.max():
        return CoSyScore(*(math.nan,) * 5, NOWHERE, NOWHERE, len(a), len(b))
    from scipy.stats import mannwhitneyu

    test = mannwhitneyu(a, b, alternative="two-sided")
    generator = np.random.default_rng(seed)
    return CoSyScore(
        auc=1 - float(test.statistic) / (len(a) * len(b)),
        mad=float((b.mean() - a.mean()) / a.std(ddof=1)),
        difference=float(b.mean() - a.mean()),
        u=float(test.statistic),
        p_value=float(test.pvalue),
        auc_interval=_percentiles(_resampled_aucs(a, b, resamples, generator), confidence),
        mad_interval=_percentiles(_resampled_mads(a, b, resamples, generator), confidence),
        num_control=len(a),
        num_synthetic=len(b),
    )


def summarise_cosy(
    scores: Sequence[CoSyScore], *, confidence: float = 0.95, resamples: int = 1000, seed: int = 0
) -> CoSySummary:
    """Average the scores of neurons.

    Args:
        scores: One score per neuron.
        confidence: Coverage of the intervals.
        resamples: Resamples of the neurons behind the intervals.
        seed: Seed of the resamples.

    Example:
        >>> import torch
        >>> control = torch.arange(10.0)
        >>> scores = [cosy_score(control, torch.tensor([value])) for value in (20.0, -20.0)]
        >>> summarise_cosy([*scores, cosy_score(torch.zeros(10), torch.ones(1))]).auc
        0.5

    """
    check_positive("resamples", resamples)
    found = np.array([(score.auc, score.mad) for score in scores if score.is_scorable]).reshape(-1, 2)
    of_auc = of_mad = NOWHERE
    if len(found) > 1:
        drawn = np.random.default_rng(seed).integers(len(found), size=(resamples, len(found)))
        of_auc, of_mad = (_percentiles(column[drawn].mean(axis=1), confidence) for column in found.T)
    auc, mad = found.mean(axis=0).tolist() if len(found) else (math.nan, math.nan)
    return CoSySummary(auc, mad, of_auc, of_mad, neurons=len(found), not_scorable=len(scores) - len(found))


def _resampled_aucs(a: Array, b: Array, resamples: int, generator: np.random.Generator) -> Array:
    """Return the AUC of resamples of both sets.

    All that matters of a control image is between which synthetic activations it lies, so that resampling the control
    set means drawing how many images fall into each of at most two cells per synthetic image.
    """
    values = np.unique(b)
    below, upto = np.searchsorted(np.sort(a), values, "left"), np.searchsorted(np.sort(a), values, "right")
    edges = np.stack([below, upto], axis=1).ravel()
    cells = np.diff(edges, prepend=0, append=len(a)) / len(a)
    counts = generator.multinomial(len(a), cells, resamples)
    reached = counts.cumsum(axis=1)
    wins = (reached[:, 0:-1:2] + reached[:, 1::2]) / 2
    drawn = generator.multinomial(len(b), np.unique(b, return_counts=True)[1] / len(b), resamples)
    aucs: Array = (wins * drawn).sum(axis=1) / (len(a) * len(b))
    return aucs


def _resampled_mads(a: Array, b: Array, resamples: int, generator: np.random.Generator) -> Array:
    """Return the MAD of resamples of both sets; a resample whose control images are all equal says nothing."""
    means = b[generator.integers(len(b), size=(resamples, len(b)))].mean(axis=1)
    centred = a - a.mean()
    moments = np.stack([centred, centred**2])
    if len(a) <= _WEIGHED_IMAGES:
        drawn = moments[:, generator.integers(len(a), size=(resamples, len(a)))].mean(axis=2)
    else:
        drawn = generator.multivariate_normal(moments.mean(axis=1), np.cov(moments) / len(a), resamples).T
    variances = (drawn[1] - drawn[0] ** 2) * len(a) / (len(a) - 1)
    spread = np.sqrt(np.where(variances > 0, variances, np.nan))
    mads: Array = (means - a.mean() - drawn[0]) / spread
    return mads[np.isfinite(mads)]


def _percentiles(values: Array, confidence: float) -> Interval:
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2]).tolist()
    return low, high


def _check(control: Tensor, synthetic: Tensor, confidence: float) -> None:
    for name, values, least in (("control", control, 2), ("synthetic", synthetic, 1)):
        if values.ndim != 1 or len(values) < least:
            raise ValueError(
                f"Expected `{name}` of shape (images,) with {least} or more but got {tuple(values.shape)}."
            )
    if not 0 < confidence < 1:
        raise ValueError(f"Expected `confidence` to be between 0 and 1 but got {confidence}.")
