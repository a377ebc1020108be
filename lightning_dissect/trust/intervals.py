"""How far the quality of a label would move with other images, and which labels it therefore cannot be told from."""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

import torch
from torch import Tensor

from lightning_dissect.checks import check_positive
from lightning_dissect.presence import PresenceSource, fixed_width_columns
from lightning_dissect.standardise import standardised_columns
from lightning_dissect.trust.jackknife import Jackknifed, jackknife
from lightning_dissect.trust.stability import best_stability

_CONCEPTS_AT_ONCE = 32
"""Concepts whose presence is computed at once."""


@dataclass(frozen=True)
class QualityIntervals:
    """The quality of every candidate with an interval, each tensor but the last of shape ``(neurons, candidates)``.

    Args:
        quality: Pearson correlation with the candidate's presence; NaN where undefined.
        low: Lower end of the interval.
        high: Upper end.
        contenders: Whether the candidate may be the best of the neuron's candidates.
        stability: Probability that two other probes agree on the best of them, see `best_stability`, shape
            ``(neurons,)``.

    """

    quality: Tensor
    low: Tensor
    high: Tensor
    contenders: Tensor
    stability: Tensor


def quality_intervals(
    activations: Tensor,
    presence: PresenceSource,
    candidates: Tensor,
    confidence: float = 0.95,
    max_bytes: int = 2**26,
) -> QualityIntervals:
    r"""Return what the jackknife over images says of every candidate's quality.

    With the correlations :math:`r_{(i)}` without image :math:`i`, see `jackknife`,

    .. math:: s^2 = \frac{N - 1}{N} \sum_i (z_{(i)} - \bar z)^2, \quad z = \operatorname{artanh} r

    and the interval is :math:`\tanh(z \pm u s)` with :math:`u` the normal quantile. Unlike Fisher's
    :math:`s = 1 / \sqrt{N - 3}` it knows that a sparse neuron rests on few images. It holds for a label that was
    chosen on other images; the best of a large vocabulary, chosen on these, looks better than it is where nothing is
    to be found.

    A candidate is a contender unless the best one is better in the paired difference, by a one-sided jackknife
    test with Bonferroni's correction for the number of candidates: so the truly best of a neuron's candidates is
    among the contenders with the given confidence. The same differences say how `best_stability` finds the best.

    Presence is computed once for all neurons of a block that share a candidate, and neurons with the same label stand
    in the same block.

    Args:
        activations: Pooled activations, shape ``(images, neurons)``; there may be no neuron.
        presence: Presence of the concepts in the images.
        candidates: Indices of each neuron's candidates, shape ``(neurons, candidates)``; -1 where there is none.
        confidence: Nominal coverage of the intervals and of the sets of contenders.
        max_bytes: Most bytes of the float64 presence of a block's candidates and of its activations together, or those
            of one neuron.

    Raises:
        ValueError:
            If shapes do not fit, ``confidence`` is not between 0 and 1, or there are fewer than 3 images.

    Example:
        >>> from lightning_dissect.presence import GivenPresence
        >>> activations = torch.tensor([[0.0], [1.0], [2.0], [3.0], [5.0]])
        >>> presence = GivenPresence(torch.tensor([[0.0, 0.4], [0.2, 0.0], [0.3, 0.1], [0.7, 0.9], [0.9, 0.2]]))
        >>> intervals = quality_intervals(activations, presence, torch.tensor([[0, 1]]))
        >>> intervals.quality, intervals.contenders
        (tensor([[0.9762, 0.1386]], dtype=torch.float64), tensor([[ True, False]]))

    References:
        Miller, The jackknife - a review, 1974, on correlations and their transform; Hsu, Multiple Comparisons with
        the best, 1996.

    """
    _check(activations, candidates, confidence)
    check_positive("max_bytes", max_bytes)
    found = Jackknifed.unknown(candidates)
    for neurons in _blocks(candidates, max_bytes // (8 * len(activations))):
        if (candidates[neurons] >= 0).any():
            of_block = _jackknifed(activations, presence, candidates[neurons], neurons)
            for table, values in zip(found, of_block, strict=True):
                table[neurons] = values
    return _intervals(found, confidence)


def _blocks(candidates: Tensor, most: int) -> Iterator[Tensor]:
    """Yield neurons, those with the same label together, so few that they and their candidates are at most so many."""
    order = candidates[:, :1].flatten().argsort(stable=True) if candidates.shape[1] else candidates.new_empty(0)
    ordered = candidates[order].tolist()
    start, held = 0, set[int]()
    for place, chosen in enumerate(ordered):
        together = held.union(chosen)
        if place > start and len(together) + place + 1 - start > most:
            yield order[start:place]
            start, together = place, set(chosen)
        held = together
    if ordered:
        yield order[start:]


def _jackknifed(activations: Tensor, presence: PresenceSource, candidates: Tensor, neurons: Tensor) -> Jackknifed:
    """Return what `jackknife` does for some neurons, of which at least one has a candidate."""
    concepts, places = torch.unique(candidates, return_inverse=True)
    if concepts[0] < 0:
        concepts, places = concepts[1:], places - 1
    columns = _standardised_presence(presence, concepts, len(activations), activations.device)
    rows = standardised_columns(activations[:, neurons.to(activations.device)].T.contiguous().T).T
    return jackknife(rows, columns, places)


def _standardised_presence(presence: PresenceSource, concepts: Tensor, images: int, device: torch.device) -> Tensor:
    """Return the presence of concepts with mean 0 and norm 1, shape ``(concepts, images)``."""
    columns = torch.empty(len(concepts), images, dtype=torch.float64, device=device)
    for part, found in fixed_width_columns(presence, concepts.to(device), _CONCEPTS_AT_ONCE):
        columns[part] = standardised_columns(found.T.contiguous().T).T
    return columns


def _intervals(found: Jackknifed, confidence: float) -> QualityIntervals:
    quality, tail = found.quality, (1 - confidence) / 2
    spread = NormalDist().inv_cdf(1 - tail) * found.errors.nan_to_num(nan=torch.inf)
    z = quality.clamp(-1, 1).atanh()
    # A perfect correlation is infinite on this scale, wherever its interval ends.
    low, high = ((z + ends).tanh().where(z.isfinite(), quality.clamp(-1, 1)) for ends in (-spread, spread))
    contenders = _contenders(quality, found.lead_errors, confidence)
    stability = best_stability(quality.gather(1, found.front), found.covariances)
    return QualityIntervals(quality.clamp(-1, 1), low, high, contenders, stability)


def _contenders(quality: Tensor, lead_errors: Tensor, confidence: float) -> Tensor:
    if not quality.numel():
        return torch.zeros_like(quality, dtype=torch.bool)
    comparable = quality.nan_to_num(nan=-torch.inf)
    others = max(1, quality.shape[1] - 1)
    quantile = NormalDist().inv_cdf(1 - (1 - confidence) / others)
    lead = comparable.amax(dim=1, keepdim=True) - comparable
    return quality.isfinite() & (lead <= quantile * lead_errors.nan_to_num(nan=torch.inf))


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
