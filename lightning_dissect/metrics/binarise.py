"""Which images activate a neuron, and in which images a concept is."""

from fractions import Fraction
from math import ceil

import torch
from torch import Tensor

from lightning_dissect.metrics.pairwise import finite_rows

PRESENT = 0.5
"""Least probability with which a concept counts as present."""

NEURONS_AT_ONCE = 64
"""Neurons of which there is a float64 copy at a time."""


def check_alpha(alpha: float | None) -> None:
    """Check that ``alpha`` is a share of the images or absent.

    Args:
        alpha: Share of the images that count as active; ``None`` means that activations are binary already.

    Raises:
        ValueError:
            If it is not between 0 and 1.

    """
    if alpha is not None and not 0 < alpha < 1:
        raise ValueError(f"Expected `alpha` to be between 0 and 1, or None for binary activations, but got {alpha}.")


def binarise(activations: Tensor, alpha: float | None) -> Tensor:
    r"""Return which images activate each neuron.

    An image is active if its activation is at least the :math:`\lceil \alpha N \rceil`-th largest, so ties with it are
    active too. Two kinds of neuron would be active without reason under this cutoff and get another one:

    * *sparse*: fewer than :math:`\lceil \alpha N \rceil` activations are not zero. Active is what lies above zero.
    * *resting*: the cutoff is the neuron's lowest activation, which would make every image active. Active is what
      lies above that lowest activation.

    A neuron that is constant or not finite is active nowhere.

    Args:
        activations: Pooled activations, shape ``(images, neurons)``.
        alpha: Share of the images; ``None`` for activations that are 0 or 1 already.

    Returns:
        Boolean, shape ``(images, neurons)``.

    Raises:
        ValueError:
            If ``alpha`` is out of range, or absent though activations are not binary.

    Example:
        >>> spikes = torch.zeros(1000, 1)
        >>> spikes[:5] = 1
        >>> binarise(spikes, alpha=0.05).sum().item(), sparse_neurons(spikes, alpha=0.05).item()
        (5, True)

    References:
        Oikarinen, Yan and Weng, Evaluating Neuron Explanations, ICML 2025. https://arxiv.org/abs/2506.05774

    """
    check_alpha(alpha)
    blocks = torch.split(activations, NEURONS_AT_ONCE, dim=1)
    return torch.cat([active_rows(finite_rows(block)[0], alpha) for block in blocks]).T


def sparse_neurons(activations: Tensor, alpha: float) -> Tensor:
    r"""Return which neurons `binarise` calls sparse or resting: fewer images than asked for stand out from the rest.

    Dead, constant and non-finite neurons are among them.

    Args:
        activations: Pooled activations, shape ``(images, neurons)``.
        alpha: Share of the images that should be active.

    Returns:
        Boolean, shape ``(neurons,)``.

    Raises:
        ValueError:
            If ``alpha`` is out of range.

    Example:
        >>> sparse_neurons(torch.tensor([[0.0, 1.0], [0.0, 2.0], [3.0, 3.0], [0.0, 4.0]]), alpha=0.5)
        tensor([ True, False])

    """
    check_alpha(alpha)
    cutoffs = [_cutoffs(finite_rows(block)[0], alpha) for block in torch.split(activations, NEURONS_AT_ONCE, dim=1)]
    return torch.cat([sparse | lowest for sparse, lowest, _ in cutoffs])[:, 0]


def active_rows(rows: Tensor, alpha: float | None) -> Tensor:
    """Return `binarise` of finite rows.

    Args:
        rows: Activations, shape ``(neurons, images)``.
        alpha: Share of the images; ``None`` for rows that are binary already.

    Returns:
        Boolean, shape ``(neurons, images)``.

    Raises:
        ValueError:
            If ``alpha`` is ``None`` and an activation is neither 0 nor 1.

    """
    if alpha is None:
        active = rows == 1
        if not (active | (rows == 0)).all():
            raise ValueError(
                "Expected `activations` to be 0 or 1 with `alpha`=None but got other values. Give `alpha`."
            )
        return active
    sparse, lowest, cutoff = _cutoffs(rows, alpha)
    return torch.where(sparse | lowest, rows > cutoff.masked_fill(sparse, 0), rows >= cutoff)


def present_rows(rows: Tensor) -> Tensor:
    """Return in which images each concept is: where its presence is 0.5 or more.

    Args:
        rows: Presence, shape ``(concepts, images)``.

    Returns:
        Boolean, shape ``(concepts, images)``.

    """
    return rows >= PRESENT


def _cutoffs(rows: Tensor, alpha: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return who is sparse, whose cutoff is its lowest activation, and the cutoffs, each ``(neurons, 1)``."""
    images = rows.shape[1]
    count = ceil(Fraction(str(alpha)) * images)
    cutoff = rows.kthvalue(images - count + 1, dim=1, keepdim=True).values
    sparse = rows.count_nonzero(dim=1)[:, None] < count
    return sparse, cutoff == rows.amin(dim=1, keepdim=True), cutoff
