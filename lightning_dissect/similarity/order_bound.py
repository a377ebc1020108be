"""What it costs at least to put a neuron's top activations into the order of a concept, found fast for all pairs."""

import importlib
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import Tensor

from lightning_dissect.compiled import Array, compiled
from lightning_dissect.similarity.sorting_network import BASE, merging_passes
from lightning_dissect.threads import Rooms, even_width, run_in_threads

LANES = 32
"""Concepts that are sorted side by side: their 16-bit keys fill one of the widest registers."""

STEP_BITS = 9
"""Bits of a key that hold the activation; the others hold the similarity."""

TILES_AT_ONCE = 8
"""Tiles of concepts that a thread reads at once: the rows of a large matrix are far apart."""

SPREAD = 3.0
"""Standard deviations below and above a concept's mean similarity between which similarities are told apart."""


class OrderCostBound:
    r"""Finds a lower bound of what `CompiledOrderCost` finds for the power 3, a few per cent below.

    Similarities are rounded to levels and activations down to steps, so that both fit 16 bits. Images of one level are
    put into the neuron's own order, which by the rearrangement inequality costs least, and activations that are
    :math:`d` steps apart are taken to be :math:`d - 1` apart. Then a network sorts the images of a pair in registers,
    those of 32 concepts side by side.

    Args:
        values: Activations of each neuron's top images, most activating first, shape ``(neurons, top_k)``.
        rows: Rows of those images, of the same shape.

    """

    def __init__(self, values: Tensor, rows: Tensor) -> None:
        self._top_k = rows.shape[1]
        size = max(2 * BASE, 2 ** (self._top_k - 1).bit_length())
        images = torch.zeros(int(rows.max()) + 1, dtype=torch.bool).index_fill_(0, rows.flatten(), value=True)
        self._images = images.nonzero().flatten().numpy()
        self._places = np.full((len(rows), size), len(self._images), np.uint32)
        self._places[:, : self._top_k] = (images.cumsum(dim=0) - 1)[rows].numpy()[:, ::-1]
        ascending = values.to(torch.float64).numpy()[:, ::-1]
        lowest, most = ascending[:, :1], 2**STEP_BITS - 1
        self._step = (ascending[:, -1:] - lowest) / most
        self._steps = np.full(self._places.shape, most, np.uint16)
        heights = np.divide(ascending - lowest, self._step, out=np.zeros(rows.shape), where=self._step > 0)
        self._steps[:, : self._top_k] = np.floor(heights).clip(0, most)
        self._levels, self._keys = Rooms(torch.int16), Rooms(torch.int16)
        self._passes = np.array(list(merging_passes(size)), np.int64).reshape(-1, 7)

    def of(self, similarities: Tensor) -> Tensor:
        """Return the bound for some concepts.

        Args:
            similarities: Shape ``(images, concepts)``, float32 or float64.

        Returns:
            Shape ``(neurons, concepts)``, float64.

        """
        bounds = torch.empty(len(self._places), similarities.shape[1], dtype=torch.float64)
        source, results = similarities.detach().numpy(), bounds.numpy()
        sample = source[:: -(-len(source) // 256)].astype(np.float64)
        deviation = SPREAD * sample.std(axis=0)
        lowest = (sample.mean(axis=0) - deviation).astype(np.float32)
        number = 2 ** (16 - STEP_BITS)
        scale = np.divide(number / 2, deviation, out=np.zeros_like(deviation), where=deviation > 0).astype(np.float32)
        write, bound = compiled(write_levels), compiled(_network())
        unit = (self._step**3 / self._top_k) * (1 - self._top_k * np.finfo(np.float32).eps)

        def fill(part: slice) -> None:
            tiles = range(part.start, part.stop, LANES)
            shapes = (len(tiles), len(self._images) + 1, LANES), (self._places.shape[1], LANES)
            found = np.empty((len(self._places), LANES), np.float32)
            with self._levels.one(*shapes[0]) as level_room, self._keys.one(*shapes[1]) as key_room:
                levels, keys = (room.numpy().view(np.uint16) for room in (level_room, key_room))
                levels[:, -1] = 2**16 - 1
                write(source, self._images, lowest, scale, part.start, part.stop, levels)
                for start, own in zip(tiles, levels, strict=True):
                    bound(own, self._places, self._steps, self._passes, keys, found)
                    columns = slice(start, min(start + LANES, part.stop))
                    results[:, columns] = unit * found[:, : columns.stop - start]

        run_in_threads(fill, len(lowest), even_width(len(lowest), LANES * TILES_AT_ONCE, LANES))
        return bounds


def write_levels(  # noqa: PLR0917
    similarities: Array, images: Array, lowest: Array, scale: Array, start: int, stop: int, levels: Array
) -> None:
    """Write how similar images are to concepts, rounded to the levels that fit above the bits of a step.

    Args:
        similarities: Shape ``(images, concepts)``.
        images: Rows that are read, shape ``(chosen,)``.
        lowest: Similarity to each concept that is the lowest level, and all below, shape ``(concepts,)``.
        scale: Levels per unit of similarity, of the same shape.
        start: First concept.
        stop: Concept after the last one.
        levels: What is written, shape ``(tiles, chosen + 1, concepts of a tile)``, uint16; the last row is left alone.

    """
    width, most = levels.shape[2], np.float32(2 ** (16 - STEP_BITS) - 1)
    for place in range(len(images)):
        row = similarities[images[place]]
        for tile in range(len(levels)):
            first = start + tile * width
            written = levels[tile, place]
            for lane in range(min(width, stop - first)):
                concept = first + lane
                height = np.float32((np.float32(row[concept]) - lowest[concept]) * scale[concept])
                written[lane] = np.uint16(np.int32(max(np.float32(0), min(most, height)))) << STEP_BITS


@cache
def _network() -> Callable[..., None]:
    """Return `bound_costs`, whose module needs numba."""
    loop: Callable[..., None] = importlib.import_module("lightning_dissect.similarity.network_lanes").bound_costs
    return loop
