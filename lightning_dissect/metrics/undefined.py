"""Which scores are undefined, and why."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_dissect.checks import check_score_inputs
from lightning_dissect.metrics.binarise import PRESENT, binarise

REASONS = (
    "the neuron is not finite",
    "the neuron is the same on every image",
    "no image activates the neuron",
    "the concept is not finite",
    "the concept is the same on every image",
    "the concept is in no image",
    "the concept is in every image",
    "the two have too little in common, as on the images drawn",
)
"""Why a score may be undefined, in the order in which reasons are looked for."""


@dataclass(frozen=True)
class UndefinedScores:
    """How many scores are NaN, counted by reason.

    Args:
        total: Number of scores.
        reasons: Number of undefined scores by reason, in the order in which reasons are looked for; a score counts
            once, under the first that holds. Reasons that hold for none are left out.

    Example:
        >>> print(UndefinedScores(10, {"the concept is in no image": 2}))
        2 of 10 scores are undefined: 2 because the concept is in no image

    """

    total: int
    reasons: Mapping[str, int]

    @property
    def undefined(self) -> int:
        """Number of scores that are NaN."""
        return sum(self.reasons.values())

    def __str__(self) -> str:
        if not self.undefined:
            return f"all {self.total} scores are defined"
        parts = ", ".join(f"{count} because {reason}" for reason, count in self.reasons.items())
        return f"{self.undefined} of {self.total} scores are undefined: {parts}"


def explain_undefined(
    scores: Tensor, activations: Tensor, concept_presence: Tensor, alpha: float | None = None
) -> UndefinedScores:
    """Count undefined scores by what is wrong with the neuron or the concept.

    Args:
        scores: What a metric made of the other arguments: shape ``(neurons, concepts)``, or ``(neurons,)`` with one
            column of ``concept_presence`` per neuron.
        activations: Pooled activations, shape ``(images, neurons)``.
        concept_presence: Probability that a concept is in an image, shape ``(images, concepts)``.
        alpha: The metric's ``alpha``; ``None`` if it has none or activations are binary.

    Raises:
        ValueError:
            If the shapes do not fit.

    Example:
        >>> import torch
        >>> from lightning_dissect.metrics import Precision
        >>> activations, presence = torch.eye(3), torch.tensor([[0.9, 0.1], [0.2, 0.2], [0.1, 0.3]])
        >>> scores = Precision(alpha=0.2).score(activations, presence)
        >>> print(explain_undefined(scores, activations, presence, alpha=0.2))
        3 of 6 scores are undefined: 3 because the concept is in no image

    """
    places = undefined_reasons(scores, activations, concept_presence, alpha)
    counts = torch.bincount(places.flatten().int() + 1, minlength=len(REASONS) + 1)[1:].tolist()
    return UndefinedScores(
        scores.numel(), {reason: count for reason, count in zip(REASONS, counts, strict=True) if count}
    )


def undefined_reasons(
    scores: Tensor, activations: Tensor, concept_presence: Tensor, alpha: float | None = None
) -> Tensor:
    """Return for each score why it is undefined.

    Args:
        scores: See `explain_undefined`, here and below.
        activations: Pooled activations, shape ``(images, neurons)``.
        concept_presence: Probability that a concept is in an image, shape ``(images, concepts)``.
        alpha: The metric's ``alpha``.

    Returns:
        Place in `REASONS` of the first reason that holds, -1 where the score is defined; int8, the shape of ``scores``.

    Raises:
        ValueError:
            If the shapes do not fit.

    """
    check_score_inputs(activations, concept_presence, name="concept_presence")
    neurons, concepts = activations.shape[1], concept_presence.shape[1]
    if tuple(scores.shape) not in {(neurons, concepts), (neurons,) if neurons == concepts else ()}:
        raise ValueError(
            f"Expected `scores` to have shape {(neurons, concepts)}, or one per neuron and column of "
            f"`concept_presence`, but got {tuple(scores.shape)}."
        )
    of_neurons = _neuron_reasons(activations, alpha)
    if scores.ndim == 2:
        of_neurons = [mask[:, None] for mask in of_neurons]
    remaining = scores.isnan()
    places = torch.full(scores.shape, -1, dtype=torch.int8, device=scores.device)
    for place, mask in enumerate([*of_neurons, *_concept_reasons(concept_presence), remaining]):
        places[remaining & mask] = place
        remaining = remaining & ~mask
    return places


def _neuron_reasons(activations: Tensor, alpha: float | None) -> list[Tensor]:
    silent = torch.zeros(activations.shape[1], dtype=torch.bool, device=activations.device)
    return [
        ~activations.isfinite().all(dim=0),
        activations.amax(dim=0) == activations.amin(dim=0),
        silent if alpha is None else ~binarise(activations, alpha).any(dim=0),
    ]


def _concept_reasons(concept_presence: Tensor) -> list[Tensor]:
    present = concept_presence >= PRESENT
    return [
        ~concept_presence.isfinite().all(dim=0),
        concept_presence.amax(dim=0) == concept_presence.amin(dim=0),
        ~present.any(dim=0),
        present.all(dim=0),
    ]
