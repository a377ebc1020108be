"""Generative ablation: does a neuron fall silent when its concept, and nothing else, is taken out of the image?"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from lightning_dissect.checks import check_positive
from lightning_dissect.label_refinement import NOWHERE, Interval

FEWEST_PAIRS = 10
"""Pairs below which an effect says nothing: single edits have raised the activation by as much as others lowered it."""

AblationOutcome = Literal["measured", "too few pairs", "not scorable"]
Array = np.ndarray[Any, np.dtype[np.float64]]
_EXACT_PAIRS = 13
"""Pairs up to which all patterns of signs are tried."""


@dataclass(frozen=True, eq=False)
class ImagePairs:
    """Images with something, and the same or like images without it.

    Args:
        with_: RGB images, shape ``(pairs, 3, height, width)``, uint8.
        without: What they are compared with, in the same order and of the same shape.

    Raises:
        ValueError:
            If the two are not uint8 images of one shape.

    """

    with_: Tensor
    without: Tensor

    def __post_init__(self) -> None:
        for images in (self.with_, self.without):
            if images.ndim != 4 or images.shape[1] != 3 or images.dtype != torch.uint8:
                raise ValueError(
                    "Expected pairs to be uint8 images of shape (pairs, 3, height, width) but got "
                    f"{images.dtype} of shape {tuple(images.shape)}."
                )
        if self.with_.shape != self.without.shape:
            raise ValueError(
                "Expected pairs to be images of one shape but got "
                f"{tuple(self.with_.shape)} and {tuple(self.without.shape)}."
            )

    def __len__(self) -> int:
        return len(self.with_)


@dataclass(frozen=True, eq=False)
class RemovedConcept:
    """Images from which a concept was removed, and as many from which something else was.

    Args:
        concept: With and without the concept.
        control: With and without something else, by the same means.

    Raises:
        ValueError:
            If there are not equally many.

    """

    concept: ImagePairs
    control: ImagePairs

    def __post_init__(self) -> None:
        if len(self.concept) != len(self.control):
            raise ValueError(
                f"Expected one control pair per pair but got {len(self.control)} for {len(self.concept)} pairs."
            )


@runtime_checkable
class ConceptRemover(Protocol):
    """Finds, or makes, images with and without a concept.

    Example:
        >>> class Crop:
        ...     def remove(self, concept, count):
        ...         images = torch.zeros(count, 3, 8, 8, dtype=torch.uint8)
        ...         return RemovedConcept(ImagePairs(images, images), ImagePairs(images, images))
        ...     def fingerprint(self):
        ...         return "crop"
        >>> isinstance(Crop(), ConceptRemover)
        True

    """

    def remove(self, concept: str, count: int) -> RemovedConcept:
        """Return pairs of images.

        Args:
            concept: Any text.
            count: How many pairs; fewer will do, even none.

        """
        ...

    def fingerprint(self) -> str:
        """Return a key of all that pairs depend on but concept and count."""
        ...


ConceptCheck = Callable[[str, ImagePairs], Tensor]
"""Says of which pairs the concept is gone, shape ``(pairs,)``, bool."""


@dataclass(frozen=True)
class AblationEffect:
    """How much of a neuron's activation a concept accounts for; all numbers are NaN unless it was measured.

    Args:
        outcome: ``"measured"``; ``"too few pairs"`` below `FEWEST_PAIRS`; ``"not scorable"`` for a neuron that is
            constant over control images, or not finite.
        pairs: Pairs that counted.
        effect: Mean fall when the concept goes, less the mean fall when something else goes, in standard deviations of
            control images.
        interval: Where ``effect`` lies, by a bootstrap over pairs.
        p_value: Two-sided p-value of ``effect`` by flips of sign.
        fall: Mean fall when the concept goes, in the same unit.
        control_fall: Mean fall when something else goes.
        relative_fall: ``fall`` as a share of the mean activation with the concept; NaN where that is not positive.

    """

    outcome: AblationOutcome
    pairs: int
    effect: float = math.nan
    interval: Interval = NOWHERE
    p_value: float = math.nan
    fall: float = math.nan
    control_fall: float = math.nan
    relative_fall: float = math.nan


@dataclass(frozen=True)
class Ablation:
    """What became of neurons when a concept was removed.

    Args:
        concept: The concept.
        effects: One per neuron.
        kept: Pairs that passed the check.
        rejected: Pairs that did not: the concept was still there, or had gone from the control pair too.

    """

    concept: str
    effects: tuple[AblationEffect, ...]
    kept: int
    rejected: int


def ablation_effect(
    with_: Tensor,
    without: Tensor,
    control_with: Tensor,
    control_without: Tensor,
    *,
    scale: float,
    seed: int = 0,
    confidence: float = 0.95,
    resamples: int = 2000,
) -> AblationEffect:
    r"""Return how much more a neuron falls when its concept goes than when something else does.

    With activations :math:`a_i, b_i` with and without the concept, :math:`a'_i, b'_i` with and without something else,
    and the standard deviation :math:`s` on control images,

    .. math:: d_i = \frac{(a_i - b_i) - (a'_i - b'_i)}{s}, \qquad \text{effect} = \frac{1}{n} \sum_i d_i .

    The interval is that of the studentised bootstrap over pairs. The p-value is the share of all patterns of signs of
    :math:`d` whose mean is at least as far from 0: exact up to 13 pairs, of ``resamples`` random patterns beyond.

    Args:
        with_: Activations with the concept, shape ``(pairs,)``.
        without: Without it.
        control_with: With something else.
        control_without: Without that.
        scale: Standard deviation of the neuron over control images.
        seed: Seed of the resamples.
        confidence: Coverage of the interval.
        resamples: Resamples behind the interval.

    Raises:
        ValueError:
            If shapes differ or an argument is out of range.

    Example:
        >>> concept, rest = torch.arange(12.0) / 10 + 3, torch.arange(12.0) / 10
        >>> found = ablation_effect(concept, rest / 2, rest, rest, scale=2.0)
        >>> round(found.effect, 4), found.p_value < 0.001, found.interval[0] > 0
        (1.6375, True, True)
        >>> ablation_effect(*[rest[:4]] * 4, scale=1.0).outcome
        'too few pairs'

    References:
        Hall, Theoretical comparison of bootstrap confidence intervals, 1988; Fisher, The design of experiments, 1935,
        section 21, for the flips of sign.

    """
    activations = [values.detach().cpu().double() for values in (with_, without, control_with, control_without)]
    _check(activations, confidence, resamples)
    a, b, other_a, other_b = (values.numpy() for values in activations)
    if len(a) < FEWEST_PAIRS:
        return AblationEffect("too few pairs", len(a))
    if not (math.isfinite(scale) and scale > 0 and all(bool(values.isfinite().all()) for values in activations)):
        return AblationEffect("not scorable", len(a))
    falls, controls = (a - b) / scale, (other_a - other_b) / scale
    generator = np.random.default_rng(seed)
    return AblationEffect(
        "measured",
        pairs=len(a),
        effect=float((falls - controls).mean()),
        interval=_interval(falls - controls, confidence, resamples, generator),
        p_value=_sign_flip_p_value(falls - controls, resamples, generator),
        fall=float(falls.mean()),
        control_fall=float(controls.mean()),
        relative_fall=float((a - b).mean() / a.mean()) if a.mean() > 0 else math.nan,
    )


def ablate(
    concept: str,
    remover: ConceptRemover,
    read: Callable[[Tensor], Tensor],
    check: ConceptCheck,
    *,
    scale: Tensor,
    count: int = 20,
    seed: int = 0,
) -> Ablation:
    """Remove a concept from images and see which neurons miss it.

    A pair counts if ``check`` says that the concept is gone from it, and not gone from its control pair.

    Args:
        concept: The concept.
        remover: Where pairs come from.
        read: Maps RGB images, shape ``(images, 3, height, width)``, uint8, to activations, shape ``(images, neurons)``.
        check: Whether the concept is gone.
        scale: Standard deviation of each neuron over control images, shape ``(neurons,)``.
        count: Pairs to ask for.
        seed: Seed of the resamples.

    Raises:
        ValueError:
            If ``read`` or ``check`` returns another shape.

    Example:
        >>> class Blank:
        ...     def remove(self, concept, count):
        ...         images = torch.arange(1, count + 1, dtype=torch.uint8).view(-1, 1, 1, 1).expand(count, 3, 2, 2)
        ...         return RemovedConcept(ImagePairs(images, 0 * images), ImagePairs(images, images))
        ...     def fingerprint(self):
        ...         return "blank"
        >>> brightness = lambda images: images.float().mean(dim=(1, 2, 3))[:, None]
        >>> gone = lambda concept, pairs: brightness(pairs.without)[:, 0] == 0
        >>> ablate("light", Blank(), brightness, gone, scale=torch.ones(1), count=12).effects[0].effect
        6.5

    """
    pairs = remover.remove(concept, count)
    kept = _gone(check, concept, pairs.concept) & ~_gone(check, concept, pairs.control)
    num_kept = int(kept.sum())
    if num_kept < FEWEST_PAIRS:
        effects = (AblationEffect("too few pairs", num_kept),) * len(scale)
        return Ablation(concept, effects, num_kept, len(kept) - num_kept)
    sides = [side for part in (pairs.concept, pairs.control) for side in (part.with_, part.without)]
    activations = [read(side[kept]) for side in sides]
    for values in activations:
        if values.shape != (num_kept, len(scale)):
            raise ValueError(
                f"Expected `read` to return activations of shape ({num_kept}, {len(scale)}) but got "
                f"{tuple(values.shape)}."
            )
    effects = tuple(
        ablation_effect(*(values[:, unit] for values in activations), scale=float(deviation), seed=seed)
        for unit, deviation in enumerate(scale)
    )
    return Ablation(concept, effects, num_kept, len(kept) - num_kept)


def _gone(check: ConceptCheck, concept: str, pairs: ImagePairs) -> Tensor:
    gone = check(concept, pairs) if len(pairs) else torch.zeros(0, dtype=torch.bool)
    if gone.shape != (len(pairs),) or gone.dtype != torch.bool:
        raise ValueError(
            f"Expected `check` to return bool of shape ({len(pairs)},) but got {gone.dtype} of shape "
            f"{tuple(gone.shape)}."
        )
    return gone


def _interval(differences: Array, confidence: float, resamples: int, generator: np.random.Generator) -> Interval:
    """Return the studentised bootstrap's interval: percentiles of t over resamples, turned round the mean.

    With ten pairs it keeps what it promises, where percentiles of the mean itself are too narrow.
    """
    size, mean, spread = len(differences), differences.mean(), differences.std(ddof=1)
    drawn = differences[generator.integers(size, size=(resamples, size))]
    spreads = drawn.std(axis=1, ddof=1)
    varied = spreads > spread * 1e-9
    t = (drawn.mean(axis=1) - mean)[varied] / spreads[varied]
    if not len(t):
        return float(mean), float(mean)
    upper, lower = np.quantile(t, [(1 + confidence) / 2, (1 - confidence) / 2])
    return float(mean - upper * spread), float(mean - lower * spread)


def _sign_flip_p_value(differences: Array, resamples: int, generator: np.random.Generator) -> float:
    """Return the share of patterns of signs with a mean as far from 0; what was observed is one of them."""
    size = len(differences)
    if size <= _EXACT_PAIRS:
        signs = 1 - 2 * (np.arange(2**size)[:, None] >> np.arange(size) & 1)
    else:
        signs = np.concatenate([np.ones((1, size), int), 1 - 2 * generator.integers(2, size=(resamples, size))])
    means = np.abs(signs @ differences)
    return float((means >= means[0] * (1 - 1e-12)).mean())


def _check(activations: list[Tensor], confidence: float, resamples: int) -> None:
    shapes = [tuple(values.shape) for values in activations]
    if activations[0].ndim != 1 or len(set(shapes)) > 1:
        raise ValueError(f"Expected all activations to be of one shape (pairs,) but got {shapes}.")
    if not 0 < confidence < 1:
        raise ValueError(f"Expected `confidence` to be between 0 and 1 but got {confidence}.")
    check_positive("resamples", resamples)
