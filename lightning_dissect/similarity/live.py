"""Which neurons say anything at all about the images."""

import torch
from torch import Tensor


def finite_neurons(activations: Tensor) -> Tensor:
    """Return which neurons are finite on every image.

    Args:
        activations: Pooled activations, shape ``(images, neurons)``.

    Returns:
        Boolean, shape ``(neurons,)``.

    Example:
        >>> finite_neurons(torch.tensor([[1.0, float("inf")], [1.0, 0.0]]))
        tensor([ True, False])

    """
    low, high = activations.amin(dim=0), activations.amax(dim=0)
    return low.isfinite() & high.isfinite()


def live_neurons(activations: Tensor) -> Tensor:
    """Return which neurons are finite and not constant.

    A neuron counts as constant if its activations differ by no more than the rounding of a float32 forward pass, which
    depends on the sizes of the batches: 16 float32 steps of the largest magnitude.

    Args:
        activations: Pooled activations, shape ``(images, neurons)``.

    Returns:
        Boolean, shape ``(neurons,)``.

    Example:
        >>> live_neurons(torch.tensor([[1.0, 0.3, float("nan")], [2.0, 0.3 + 1e-7, 1.0]]))
        tensor([ True, False, False])

    """
    low, high = activations.amin(dim=0).to(torch.float64), activations.amax(dim=0).to(torch.float64)
    rounding = 16 * torch.finfo(torch.float32).eps * torch.maximum(low.abs(), high.abs())
    return low.isfinite() & high.isfinite() & (high - low > rounding)
