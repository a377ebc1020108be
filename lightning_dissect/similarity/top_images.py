"""The most activating images of each neuron, as the published similarity functions use them."""

import torch
from torch import Tensor

from lightning_dissect.top_positions import top_positions


def top_rows(activations: Tensor, count: int, max_bytes: int, neurons: Tensor) -> Tensor:
    """Return the rows of the most activating images of some neurons, most activating first.

    Ties go to the lower row, so the answer does not depend on the device or on how neurons are grouped.

    Args:
        activations: Pooled activations, shape ``(images, neurons)``.
        count: Images per neuron.
        max_bytes: Most bytes that the sorted copy of some neurons may take.
        neurons: Which neurons, as indices of shape ``(chosen,)``.

    Returns:
        Row numbers, shape ``(chosen, count)``.

    Example:
        >>> top_rows(torch.tensor([[0.0, 1.0], [2.0, 1.0], [1.0, 0.0]]), 2, max_bytes=2**20, neurons=torch.arange(2))
        tensor([[1, 2],
                [0, 1]])

    """
    found = torch.empty(len(neurons), count, dtype=torch.int64, device=activations.device)
    width = max(1, max_bytes // (16 * len(activations)))
    for start in range(0, len(neurons), width):
        block = neurons[start : start + width]
        found[start : start + width] = top_positions(activations.index_select(1, block).T.contiguous(), count)
    return found


def limited_top_k(top_k: int, num_images: int) -> int:
    """Return how many top images a similarity uses on a probe of some size.

    The published number wherever the probe has at least that many images, otherwise a tenth of the probe: with more of
    it, images that do not activate the neuron at all would speak for it.

    Args:
        top_k: Number asked for.
        num_images: Images of the probe.

    Raises:
        ValueError:
            If the probe has fewer than 20 images and fewer than ``top_k``.

    Example:
        >>> limited_top_k(100, 655), limited_top_k(100, 60)
        (100, 6)

    """
    if num_images >= top_k:
        return top_k
    if num_images < 20:
        raise ValueError(
            f"Expected the probe to have at least 20 images or `top_k`={top_k} of them but got {num_images}. "
            "Use a larger probe or a smaller `top_k`."
        )
    return num_images // 10
