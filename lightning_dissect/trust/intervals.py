"""How far the quality of a label would move with other images, and which labels it therefore cannot be told from."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import NormalDist

import torch
from torch import Tensor

from lightning_dissect.checks import check_positive

Presence = Callable[[Tensor], Tensor]
"""From indices of concepts, shape ``(chosen,)``, to their presence, shape ``(images, chosen)``."""


@dataclass(frozen=True)
class QualityIntervals:
    """The quality of every candidate with an interval, each tensor of shape ``(neurons, candidates)``.

    Args:
        quality: Pearson correlation with the candidate's presence; NaN where undefined.
        low: Lower end of the interval.
        high: Upper end.
        contenders: Whether the candidate may be the best of the neuron's candidates.

    """

    quality: Tensor
    low: Tensor
    high: Tensor
    contenders: Tensor


def quality_intervals(
    activations: Tensor,
    presence: Presence,
    candidates: Tensor,
    confidence: float = 0.95,
    max_bytes: int = 2**26,
) -> QualityIntervals:
    r"""Return what the jackknife over images says of every candidate's quality.

    With columns of mean 0 and variance 1, the correlation without image :math:`i` needs no second pass:

    .. math::
        r_{(i)} = \frac{r - a_i c_i / (N - 1)}{\sqrt{(1 - a_i^2 / (N - 1)) (1 - c_i^2 / (N - 1))}}, \qquad
        s^2 = \frac{N - 1}{N} \sum_i (z_{(i)} - \bar z)^2, \quad z = \operatorname{artanh} r

    The interval is :math:`\tanh(z \pm u s)` with :math:`u` the normal quantile. Unlike Fisher's
    :math:`s = 1 / \sqrt{N - 3}` it knows that a sparse neuron rests on few images. It holds for a label that was
    chosen on other images; the best of a large vocabulary, chosen on these, looks better than it is where nothing is
    to be found.

    A candidate is a contender unless the best one is better in the paired difference, by a one-sided jackknife
    test with Bonferroni's correction for the number of candidates: so the truly best of a neuron's candidates is
    among the contenders with the given confidence.

    Args:
        activations: Pooled activations, shape ``(images, neurons)``.
        presence: Gives the presence of concepts, such as ``ConceptPresence(concept_matrix).columns``.
        candidates: Indices of each neuron's candidates, shape ``(neurons, candidates)``; -1 where there is none.
        confidence: Nominal coverage of the intervals and of the sets of contenders.
        max_bytes: Most bytes that a float64 tensor of images and candidates may take.

    Raises:
        ValueError:
            If shapes do not fit, ``confidence`` is not between 0 and 1, or there are fewer than 3 images.

    Example:
        >>> activations = torch.tensor([[0.0], [1.0], [2.0], [3.0], [5.0]])
        >>> concept_presence = torch.tensor([[0.0, 0.4], [0.2, 0.0], [0.3, 0.1], [0.7, 0.9], [0.9, 0.2]])
        >>> candidates = torch.tensor([[0, 1]])
        >>> intervals = quality_intervals(activations, lambda chosen: concept_presence[:, chosen], candidates)
        >>> intervals.quality, intervals.contenders
        (tensor([[0.9762, 0.1386]], dtype=torch.float64), tensor([[ True, False]]))

    References:
        Miller, The jackknife - a review, 1974, on correlations and their transform; Hsu, Multiple Comparisons with
        the best, 1996.

    """
    _check(activations, candidates, confidence)
    check_positive("max_bytes", max_bytes)
    parts = []
    width = max(1, max_bytes // (8 * len(activations) * max(1, candidates.shape[1])))
    for neurons, chosen in _blocks(activations, candidates, width):
        columns = presence(chosen.clamp(min=0).flatten()).to(torch.float64).view(len(activations), *chosen.shape)
        parts.append(_intervals(neurons.to(torch.float64), columns, chosen >= 0, confidence))
    return QualityIntervals(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


def _blocks(activations: Tensor, candidates: Tensor, width: int) -> Iterator[tuple[Tensor, Tensor]]:
    return zip(torch.split(activations, width, dim=1), torch.split(candidates, width), strict=True)


def _intervals(neurons: Tensor, columns: Tensor, given: Tensor, confidence: float) -> tuple[Tensor, ...]:
    """Return quality, ends and contenders for neurons ``(images, n)`` and presence ``(images, n, candidates)``."""
    a, c = _unit_variance(neurons)[:, :, None], _unit_variance(columns)
    quality = (a * c).mean(dim=0).where(given, torch.nan)
    left_out = _without_each_image(a, c, quality)
    tail = (1 - confidence) / 2
    spread = NormalDist().inv_cdf(1 - tail) * _jackknife_error(left_out.atanh())
    spread = spread.where(spread.isfinite(), torch.inf)
    z = quality.atanh()
    low, high = ((z + ends).tanh().where(quality.isfinite(), torch.nan) for ends in (-spread, spread))
    return quality.clamp(-1, 1), low, high, _contenders(quality, left_out, confidence)


def _contenders(quality: Tensor, left_out: Tensor, confidence: float) -> Tensor:
    comparable = quality.nan_to_num(nan=-torch.inf)
    best = comparable.argmax(dim=1, keepdim=True)
    others = max(1, quality.shape[1] - 1)
    quantile = NormalDist().inv_cdf(1 - (1 - confidence) / others)
    best_left_out = left_out.gather(2, best.expand(len(left_out), -1, -1))
    error = _jackknife_error(best_left_out - left_out)
    error = error.where(error.isfinite(), torch.inf)
    lead = comparable.gather(1, best) - comparable
    return quality.isfinite() & (lead <= quantile * error)


def _without_each_image(a: Tensor, c: Tensor, quality: Tensor) -> Tensor:
    others = len(a) - 1
    spread = ((1 - a.square() / others) * (1 - c.square() / others)).clamp_(min=0).sqrt_()
    # An image without which a column is constant leaves a quotient of roundings, or none.
    return ((quality - a * c / others) / spread.where(spread > 1e-6, torch.nan)).clamp_(-1, 1)


def _jackknife_error(values: Tensor) -> Tensor:
    """Return the standard error from values ``(images, ...)`` that each leave one image out."""
    return ((values - values.mean(dim=0)).square().sum(dim=0) * (1 - 1 / len(values))).sqrt()


def _unit_variance(values: Tensor) -> Tensor:
    centred = values - values.mean(dim=0)
    deviation = centred.square().mean(dim=0).sqrt()
    rounding = 16 * torch.finfo(torch.float64).eps * values.abs().amax(dim=0)
    return centred / deviation.where(deviation > rounding, torch.nan)


def _check(activations: Tensor, candidates: Tensor, confidence: float) -> None:
    if activations.ndim != 2 or candidates.ndim != 2 or len(candidates) != activations.shape[1]:
        raise ValueError(
            "Expected `activations` and `candidates` of shapes (images, neurons) and (neurons, candidates) "
            f"but got {tuple(activations.shape)} and {tuple(candidates.shape)}."
        )
    if len(activations) < 3:
        raise ValueError(f"Expected `activations` of at least 3 images but got {len(activations)}.")
    if not 0 < confidence < 1:
        raise ValueError(f"Expected `confidence` to be between 0 and 1 but got {confidence}.")
