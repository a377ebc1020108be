"""Columns without their mean, cubed and scaled to norm one."""

import math

import numpy as np
import torch
from torch import Tensor

from lightning_dissect.compiled import Array, compiled, runs_compiled
from lightning_dissect.threads import run_in_threads

TILE = 512
"""Columns that a thread of the compiled loop takes at once: rows of a large matrix are far apart in memory."""


def cubed_columns(values: Tensor, min_norm: float, room: Tensor | None = None) -> Tensor:
    """Return cubes of the differences of columns from their means, divided by their norm.

    They are computed in float64 and rounded to float32, the precision in which they are multiplied.

    Args:
        values: Shape ``(images, columns)``, any floating dtype.
        min_norm: Least value that a column is divided by.
        room: Where they are written, 1-D, float32, on the device of the values; new memory by default.

    Returns:
        Shape ``(images, columns)``, float32.

    Example:
        >>> cubed_columns(torch.tensor([[1.0], [-1.0]]), min_norm=1e-3)
        tensor([[ 0.7071],
                [-0.7071]])

    """
    values = values.to(torch.promote_types(values.dtype, torch.float32))
    room = values.new_empty(values.numel(), dtype=torch.float32) if room is None else room
    cubed = room[: values.numel()].view(values.shape)
    if not runs_compiled(values):
        centred = values - values.mean(dim=0, dtype=torch.float64)
        cubes = centred.square().mul_(centred)
        return cubed.copy_(cubes.div_(torch.linalg.vector_norm(cubes, dim=0).clamp_(min=min_norm)))
    source, target, loop = values.detach().numpy(), cubed.numpy(), compiled(cube)
    run_in_threads(lambda part: loop(source[:, part], min_norm, target[:, part]), values.shape[1], TILE)
    return cubed


def cube(values: Array, min_norm: float, cubed: Array) -> None:
    """Write what `cubed_columns` returns.

    Args:
        values: Shape ``(images, columns)``.
        min_norm: Least value that a column is divided by.
        cubed: What is written, of the same shape.

    """
    images, columns = values.shape
    means, scales = np.zeros(columns), np.zeros(columns)
    for image in range(images):
        for column in range(columns):
            means[column] += values[image, column]
    for column in range(columns):
        means[column] /= images
    for image in range(images):
        for column in range(columns):
            difference = values[image, column] - means[column]
            power = difference * difference * difference
            scales[column] += power * power
    for column in range(columns):
        scales[column] = 1 / max(math.sqrt(scales[column]), min_norm)
    for image in range(images):
        for column in range(columns):
            difference = values[image, column] - means[column]
            cubed[image, column] = difference * difference * difference * scales[column]
