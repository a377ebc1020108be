"""The most activating images of each neuron, as the published similarity functions use them."""

import math

import numpy as np
import torch
from torch import Tensor

from lightning_dissect.compiled import Array, compiled, loops_read
from lightning_dissect.threads import even_width, run_in_threads
from lightning_dissect.top_positions import top_positions

COLUMNS_AT_ONCE = 64
"""Neurons whose activations are read at once, which is fastest while a cache holds them."""

SAMPLE = 1024
"""Images of which a threshold is guessed; on fewer than four times as many there is nothing to gain."""


def top_rows(activations: Tensor, count: int, max_bytes: int, neurons: Tensor) -> Tensor:
    """Return the rows of the most activating images of some neurons, most activating first.

    Ties go to the lower row, so the answer does not depend on the device or on how neurons are grouped.

    On the CPU and where numba is installed, the activations are read once: what is above a threshold that a sample of
    the images suggests is set aside, and looked into if it is as many as asked for.

    Args:
        activations: Pooled activations, shape ``(images, neurons)``.
        count: Images per neuron.
        max_bytes: Most bytes that the sorted copy of some neurons may take.
        neurons: Which neurons, as indices of shape ``(chosen,)``; finite on all images.

    Returns:
        Row numbers, shape ``(chosen, count)``.

    Example:
        >>> top_rows(torch.tensor([[0.0, 1.0], [2.0, 1.0], [1.0, 0.0]]), 2, max_bytes=2**20, neurons=torch.arange(2))
        tensor([[1, 2],
                [0, 1]])

    """
    found = torch.empty(len(neurons), count, dtype=torch.int64, device=activations.device)
    left = torch.arange(len(neurons), device=activations.device)
    if len(neurons) and len(activations) >= 4 * SAMPLE and loops_read(activations):
        left = _sift(activations.detach(), max_bytes, neurons, found)
    width = max(1, min(COLUMNS_AT_ONCE, max_bytes // (16 * len(activations))))
    for places in torch.split(left, width):
        found[places] = top_positions(activations.index_select(1, neurons[places]).T.contiguous(), count)
    return found


def _sift(activations: Tensor, max_bytes: int, neurons: Tensor, found: Tensor) -> Tensor:
    """Write the top rows of neurons whose threshold leaves enough and not too much, and return the others' places."""
    step, count = len(activations) // SAMPLE, found.shape[1]
    expected = count / step
    rank = math.ceil(expected + 3 * math.sqrt(expected)) + 1
    sample = activations[::step]
    if rank > len(sample):
        return torch.arange(len(neurons))
    room, left = 2 * rank * step, []
    for places in torch.split(torch.arange(len(neurons)), max(1, max_bytes // (16 * room))):
        chosen = neurons[places]
        thresholds = sample[:, chosen].T.topk(rank, dim=1).values[:, -1].numpy()
        values = torch.full((len(chosen), room), -torch.inf, dtype=activations.dtype)
        rows, counts = torch.empty(len(chosen), room, dtype=torch.int32), np.zeros(len(chosen), np.int64)
        arrays = activations.numpy(), chosen.numpy(), thresholds, values.numpy(), rows.numpy(), counts

        def sift(part: slice, arrays: tuple[Array, ...] = arrays) -> None:
            source, *others = arrays
            compiled(set_aside)(source, *(array[part] for array in others))

        run_in_threads(sift, len(chosen), even_width(len(chosen), COLUMNS_AT_ONCE))
        enough = torch.from_numpy((counts >= count) & (counts <= room))
        some = enough.nonzero().flatten()
        found[places[some]] = rows[some].gather(1, top_positions(values[some], count)).to(torch.int64)
        left.append(places[~enough])
    return torch.cat(left)


def set_aside(  # noqa: PLR0917
    activations: Array, neurons: Array, thresholds: Array, values: Array, rows: Array, counts: Array
) -> None:
    """Write what is above thresholds, in the order of the images, as far as there is room.

    Args:
        activations: Shape ``(images, neurons)``.
        neurons: Which neurons, shape ``(chosen,)``.
        thresholds: One per chosen neuron.
        values: What is written, shape ``(chosen, room)``.
        rows: Their rows, of the same shape.
        counts: How many there are, room or not, shape ``(chosen,)``; zeros at first.

    """
    for image in range(len(activations)):
        row = activations[image]
        for place in range(len(neurons)):
            value = row[neurons[place]]
            if value > thresholds[place]:
                if counts[place] < values.shape[1]:
                    values[place, counts[place]] = value
                    rows[place, counts[place]] = image
                counts[place] += 1


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
