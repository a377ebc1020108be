"""Constants of a sigmoid that make an encoder's pseudo-labels agree with labelled images."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from lightning_dissect.checks import check_positive
from lightning_dissect.concept_matrix import ConceptMatrix
from lightning_dissect.presence.base import PresenceSource
from lightning_dissect.presence.given import GivenPresence
from lightning_dissect.presence.sigmoid import SigmoidConstants

_COPIES = 8
"""Tensors of the size of a block that are alive at once."""

_MOST_STEPS = 100
_CONVERGED = 1e-14
"""Twice the decrease of the mean loss that is still to be had, below which one more step is exact to rounding."""


@dataclass(frozen=True)
class Reliability:
    r"""How well pseudo-labels agree with labels.

    Args:
        log_loss: Mean over pairs of image and concept of :math:`-y \log p - (1 - y) \log(1 - p)`, in nats.
        calibration_error: Expected calibration error: over bins of equal width in :math:`p`, the mean distance of mean
            label and mean pseudo-label, weighted by the pairs in the bin.
        num_pairs: Pairs of image and concept.
        prevalence: Mean label.

    References:
        Guo et al., On calibration of modern neural networks, ICML 2017, eq. 3. https://arxiv.org/abs/1706.04599

    """

    log_loss: float
    calibration_error: float
    num_pairs: int
    prevalence: float


@dataclass(frozen=True)
class Calibration:
    """Constants found on labelled images and what they are better in.

    Args:
        constants: The constants found.
        before: Agreement of the constants that were there before.
        after: Agreement of the constants found, on the same images.

    """

    constants: SigmoidConstants
    before: Reliability
    after: Reliability


def calibrate(
    concept_matrix: Tensor | ConceptMatrix,
    labels: Tensor | PresenceSource,
    before: SigmoidConstants,
    *,
    temperature: float = 1.0,
    bins: int = 15,
    max_bytes: int = 2**26,
) -> Calibration:
    """Find scale and bias by logistic regression of labels on cosines, over all pairs of image and concept.

    The two are those of the largest likelihood, with nothing that shrinks them, by Newton's method. They hold for
    concepts that are as rare as the labelled ones: among a thousand classes an image shows one, so that the point of
    even odds lies higher than for attributes that every second image has. `reliability` on other images tells how
    well they carry over.

    Args:
        concept_matrix: Image-text similarities, shape ``(images, concepts)``.
        labels: Whether the concepts are in the images, or the probability of it, in the same shape: a tensor or any
            other source of presence.
        before: Constants to compare with.
        temperature: What the cosines were multiplied with to make the matrix.
        bins: Bins of the calibration error.
        max_bytes: Most bytes that intermediate results may take.

    Raises:
        ValueError:
            If the shapes differ, an argument is out of range, or the labels say nothing of the constants: cosines of
            present and absent concepts do not overlap, so that the scale has no bound, or are lower where present.

    Example:
        >>> cosines = torch.tensor([[0.10, 0.12, 0.14, 0.16]])
        >>> found = calibrate(cosines, torch.tensor([[0, 1, 0, 1]]), before=SigmoidConstants(58.0, -0.25))
        >>> round(found.constants.bias, 4), round(found.before.log_loss, 2), round(found.after.log_loss, 2)
        (-0.13, 3.19, 0.59)

    """
    pairs = _LabelledPairs(concept_matrix, labels, temperature, max_bytes)
    mean, spread = pairs.location()
    slope, intercept = _largest_likelihood(pairs, mean, spread)
    if not slope > 0:
        raise ValueError(
            f"Expected the cosines of `concept_matrix` to be higher where `labels` say that a concept is present but "
            f"got a slope of {slope / spread}. Check that images and concepts of both are in the same order."
        )
    constants = SigmoidConstants(slope / spread, intercept * spread / slope - mean)
    return Calibration(constants, pairs.reliability(before, bins), pairs.reliability(constants, bins))


def reliability(
    concept_matrix: Tensor | ConceptMatrix,
    labels: Tensor | PresenceSource,
    constants: SigmoidConstants,
    *,
    temperature: float = 1.0,
    bins: int = 15,
    max_bytes: int = 2**26,
) -> Reliability:
    """Return how well the pseudo-labels of given constants agree with labels.

    Args:
        concept_matrix: Image-text similarities, shape ``(images, concepts)``.
        labels: Labels in the same shape, see `calibrate`.
        constants: How a cosine becomes a probability.
        temperature: What the cosines were multiplied with to make the matrix.
        bins: Bins of the calibration error.
        max_bytes: Most bytes that intermediate results may take.

    Raises:
        ValueError:
            If the shapes differ or an argument is out of range.

    Example:
        >>> cosines, constants = torch.tensor([[0.09, 0.17]]), SigmoidConstants(58.0, -0.13)
        >>> round(reliability(cosines, torch.tensor([[0, 1]]), constants).calibration_error, 4)
        0.0895

    """
    return _LabelledPairs(concept_matrix, labels, temperature, max_bytes).reliability(constants, bins)


class _LabelledPairs:
    """Cosines and labels of all pairs of image and concept, some concepts at a time."""

    def __init__(
        self,
        concept_matrix: Tensor | ConceptMatrix,
        labels: Tensor | PresenceSource,
        temperature: float,
        max_bytes: int,
    ) -> None:
        check_positive("temperature", temperature)
        check_positive("max_bytes", max_bytes)
        self.matrix = ConceptMatrix.of(concept_matrix)
        self.labels: PresenceSource = GivenPresence(labels) if isinstance(labels, Tensor) else labels
        if self.matrix.shape != self.labels.shape or 0 in self.matrix.shape:
            raise ValueError(
                "Expected `concept_matrix` and `labels` to have the same shape, not empty, "
                f"but got {self.matrix.shape} and {self.labels.shape}."
            )
        self.temperature = temperature
        self.count = self.matrix.shape[0] * self.matrix.shape[1]
        self.width = max(1, max_bytes // (8 * _COPIES * self.matrix.shape[0]))

    def blocks(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield cosines and labels of some pairs, each of shape ``(pairs,)``, float64."""
        for start in range(0, self.matrix.shape[1], self.width):
            concepts = slice(start, min(start + self.width, self.matrix.shape[1]))
            cosines = self.matrix.columns(concepts).to(torch.float64) / self.temperature
            yield cosines.flatten(), self.labels.columns(concepts).to(cosines.device).flatten()

    def location(self) -> tuple[float, float]:
        """Return mean and standard deviation of the cosines, once it is sure that a best fit exists."""
        total = squares = 0.0
        present = absent = (math.inf, -math.inf)
        for cosines, labels in self.blocks():
            total += float(cosines.sum())
            squares += float(cosines.square().sum())
            present = _extended(present, cosines[labels > 0])
            absent = _extended(absent, cosines[labels < 1])
        if not math.isfinite(total):
            raise ValueError("Expected `concept_matrix` to be finite but got NaN or infinite values.")
        if absent[1] <= present[0] or present[1] <= absent[0]:
            raise ValueError(
                "Expected the cosines of present and absent concepts to overlap but got cosines from "
                f"{present[0]} to {present[1]} where `labels` say present and from {absent[0]} to {absent[1]} where "
                "they say absent, which an endless scale would fit best. Give more labelled images."
            )
        mean = total / self.count
        return mean, math.sqrt(max(squares / self.count - mean**2, torch.finfo(torch.float64).tiny))

    def derivatives(self, parameters: Tensor, mean: float, spread: float) -> tuple[float, Tensor, Tensor]:
        """Return the mean loss at slope and intercept, shape ``(2,)``, its gradient and its curvature."""
        loss, gradient, curvature = 0.0, torch.zeros(2).double(), torch.zeros(2, 2).double()
        slope, intercept = parameters.tolist()
        for cosines, labels in self.blocks():
            inputs = torch.stack([(cosines - mean) / spread, torch.ones_like(cosines)])
            logits = inputs[0] * slope + intercept
            probabilities = logits.sigmoid()
            loss += float((-logsigmoid(-logits) - labels * logits).sum())
            gradient += (inputs @ (probabilities - labels)).cpu()
            curvature += ((inputs * (probabilities * (1 - probabilities))) @ inputs.T).cpu()
        return loss / self.count, gradient / self.count, curvature / self.count

    def reliability(self, constants: SigmoidConstants, bins: int) -> Reliability:
        """Return how well the pseudo-labels of given constants agree with the labels."""
        check_positive("bins", bins)
        loss = prevalence = 0.0
        surplus = torch.zeros(bins, dtype=torch.float64)
        for cosines, labels in self.blocks():
            logits = constants.logits(cosines)
            probabilities = logits.sigmoid()
            loss += float((-logsigmoid(-logits) - labels * logits).sum())
            prevalence += float(labels.sum())
            places = (probabilities * bins).long().clamp_(max=bins - 1)
            surplus += torch.bincount(places, labels - probabilities, bins).cpu()
        return Reliability(
            log_loss=loss / self.count,
            calibration_error=float(surplus.abs().sum()) / self.count,
            num_pairs=self.count,
            prevalence=prevalence / self.count,
        )


def _largest_likelihood(pairs: _LabelledPairs, mean: float, spread: float) -> tuple[float, float]:
    """Return slope and intercept for standardised cosines, by Newton's method with steps that never climb."""
    parameters = torch.zeros(2, dtype=torch.float64)
    loss, gradient, curvature = pairs.derivatives(parameters, mean, spread)
    for _ in range(_MOST_STEPS):
        step = torch.linalg.solve(curvature, gradient)
        if float(gradient @ step) < _CONVERGED:
            parameters = parameters - step
            break
        nearer, ahead = parameters - step, pairs.derivatives(parameters - step, mean, spread)
        while not ahead[0] <= loss:
            step = step / 2
            nearer, ahead = parameters - step, pairs.derivatives(parameters - step, mean, spread)
        parameters, (loss, gradient, curvature) = nearer, ahead
    slope, intercept = parameters.tolist()
    return slope, intercept


def _extended(extremes: tuple[float, float], values: Tensor) -> tuple[float, float]:
    if not len(values):
        return extremes
    low, high = torch.aminmax(values)
    return min(extremes[0], float(low)), max(extremes[1], float(high))
