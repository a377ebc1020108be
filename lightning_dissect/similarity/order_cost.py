"""What it costs to hand out a neuron's top activations in the order of a concept."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lightning_dissect.compiled import Array, compiled
from lightning_dissect.threads import run_in_threads

SORTED_AT_ONCE = 2**17
"""Similarities that a thread sorts at a time."""

FEW_NEURONS = 512
"""Neurons whose top images are met together: many, for an image to be in the top of a dozen, yet fitting a cache."""

HANDED_OUT_AT_ONCE = 2**18
"""Values that are handed out before they are compared, where a concept has fewer."""


def order_cost_by_torch(values: Tensor, rows: Tensor, similarities: Tensor, power: float, max_bytes: int) -> Tensor:
    """Return the cost on any device, by sorting the top images of every pair.

    Args:
        values: Activations of each neuron's top images, most activating first, shape ``(neurons, top_k)``.
        rows: Rows of those images, of the same shape.
        similarities: Similarities of some concepts, shape ``(images, concepts)``.
        power: Exponent of the differences.
        max_bytes: Most bytes that an intermediate tensor may take.

    Returns:
        Mean over the top images of the power of the differences, shape ``(neurons, concepts)``, float64. Images that
        are equally similar to the concept are in the order of the neuron.

    Example:
        >>> values, rows = torch.tensor([[2.0, 1.0]]), torch.tensor([[0, 1]])
        >>> order_cost_by_torch(values, rows, torch.tensor([[0.3, 0.1], [0.1, 0.3]]), power=3.0, max_bytes=2**20)
        tensor([[0., 1.]], dtype=torch.float64)

    """
    neurons, top_k = rows.shape
    values = values.to(torch.float64)
    concepts = similarities.T.contiguous()
    cost = torch.empty(neurons, len(concepts), dtype=torch.float64, device=values.device)
    tile = max(1, max_bytes // (16 * top_k * len(concepts)))
    for start in range(0, neurons, tile):
        part = slice(start, start + tile)
        order = concepts[:, rows[part].to(torch.int64)].transpose(0, 1).argsort(dim=2, stable=True)
        handed_out = values[part, None].expand(order.shape).gather(2, order)
        cost[part] = handed_out.sub_(values[part].flip(1)[:, None]).abs_().pow_(power).mean(dim=2)
    return cost


class CompiledOrderCost:
    """Finds the cost as `order_cost_by_torch` does, on the CPU and where numba is installed.

    Nothing is sorted for a pair. The images are sorted once per concept and met in that order, least similar first;
    each knows the neurons that have it among their top images and hands each of them the value that it has there.

    Args:
        values: Activations of each neuron's top images, most activating first, shape ``(neurons, top_k)``.
        rows: Rows of those images, of the same shape.
        power: Exponent of the differences.

    """

    def __init__(self, values: Tensor, rows: Tensor, power: float) -> None:
        self._neurons, self._power = len(rows), power
        self._images, places = np.unique(rows.numpy(), return_inverse=True)
        places, own = places.reshape(rows.shape), values.numpy()
        groups = [slice(start, start + FEW_NEURONS) for start in range(0, len(rows), FEW_NEURONS)]
        self._groups = [_Group.of(own[group], places[group], len(self._images)) for group in groups]

    def of(self, similarities: Tensor) -> Tensor:
        """Return the cost for some concepts.

        Args:
            similarities: Shape ``(images, concepts)``.

        Returns:
            Shape ``(neurons, concepts)``, float64.

        """
        cost = torch.empty(self._neurons, similarities.shape[1], dtype=torch.float64)
        concepts, results = similarities.detach().numpy().T, cost.numpy()
        hand, compare = compiled(hand_out), compiled(mean_powers, reassociate=True)

        def fill(part: slice) -> None:
            orders, tied = _ascending(np.take(concepts[part], self._images, axis=1))
            found, start = np.empty((len(orders), self._neurons)), 0
            for group in self._groups:
                neurons = slice(start, start + len(group.ascending))
                count = min(len(orders), max(1, HANDED_OUT_AT_ONCE // group.ascending.size))
                room = np.empty((count, *group.ascending.shape), group.ascending.dtype)
                for first in range(0, len(orders), count):
                    some = slice(first, min(first + count, len(orders)))
                    handed_out = room[: some.stop - first]
                    hand(orders[some], tied[some], group.starts, group.neurons, group.values, handed_out)
                    compare(group.ascending, handed_out, self._power, found[some, neurons])
                start = neurons.stop
            results[:, part] = found.T

        run_in_threads(fill, len(concepts), max(1, SORTED_AT_ONCE // len(self._images)))
        return cost


@dataclass(frozen=True)
class _Group:
    """For every image, the neurons of a group that have it among their top images, and the values there.

    Args:
        starts: Where the list of each image begins and, last, where all end, shape ``(images + 1,)``.
        neurons: Lists of neurons, one after the other.
        values: The activation of each neuron of each list on the image.
        ascending: Values of the top images, least activating first, shape ``(neurons, top_k)``.

    """

    starts: Array
    neurons: Array
    values: Array
    ascending: Array

    @classmethod
    def of(cls, values: Array, rows: Array, images: int) -> "_Group":
        by_image = rows.argsort(axis=None, kind="stable")
        starts = np.zeros(images + 1, np.uint32)
        np.cumsum(np.bincount(rows.ravel(), minlength=images), out=starts[1:])
        neurons = (by_image // rows.shape[1]).astype(np.uint16)
        return cls(starts, neurons, values.ravel()[by_image], np.ascontiguousarray(values[:, ::-1]))


def _ascending(similarities: Array) -> tuple[Array, Array]:
    """Return the images of each concept, least similar first, and whether each is as similar as the next."""
    orders = similarities.argsort(axis=1)
    ordered = np.take_along_axis(similarities, orders, axis=1)
    tied = np.zeros(ordered.shape, np.bool_)
    np.equal(ordered[:, :-1], ordered[:, 1:], out=tied[:, :-1])
    return orders.astype(np.uint32), tied


def hand_out(  # noqa: PLR0917
    orders: Array, tied: Array, starts: Array, neurons: Array, values: Array, handed_out: Array
) -> None:
    """Write the values of each neuron's top images in the order of some concepts.

    Where a neuron has several of equally similar images among its top ones, it has them in its own order.

    Args:
        orders: Images of each concept, least similar first, shape ``(concepts, images)``, unsigned.
        tied: Whether each is as similar as the next of the order, of the same shape, bool.
        starts: Where the list of each image begins and, last, where all end, shape ``(images + 1,)``, unsigned.
        neurons: Lists of the neurons that have an image among their top ones, unsigned.
        values: The value that each of them has there.
        handed_out: What is written, shape ``(concepts, neurons, top_k)``, contiguous.

    """
    concepts, few, top_k = handed_out.shape
    places, before = np.empty(few, np.uint32), np.empty(few, np.uint32)
    for concept in range(concepts):
        room, is_tied = handed_out[concept].reshape(few * top_k), False
        for neuron in range(few):
            places[neuron] = neuron * top_k
        for position in range(orders.shape[1]):
            if tied[concept, position] and not is_tied:
                before[:] = places
            was_tied, is_tied = is_tied, tied[concept, position]
            image = orders[concept, position]
            for entry in range(starts[image], starts[image + np.uint32(1)]):
                owner = neurons[entry]
                room[places[owner]] = values[entry]
                places[owner] += np.uint32(1)
            if was_tied and not is_tied:
                for neuron in range(few):
                    if places[neuron] - before[neuron] > 1:
                        run = room[before[neuron] : places[neuron]]
                        run[:] = np.sort(run)[::-1]


def mean_powers(ascending: Array, handed_out: Array, power: float, cost: Array) -> None:
    """Write the mean power of the differences between a neuron's own order and another.

    Args:
        ascending: Values in the order of each neuron, shape ``(neurons, top_k)``.
        handed_out: The same values in the order of some concepts, shape ``(concepts, neurons, top_k)``.
        power: Exponent of the differences.
        cost: What is written, shape ``(concepts, neurons)``.

    """
    concepts, neurons, top_k = handed_out.shape
    for concept in range(concepts):
        for neuron in range(neurons):
            own, other, total = ascending[neuron], handed_out[concept, neuron], 0.0
            if power == 3.0:
                for top in range(top_k):
                    difference = abs(np.float64(own[top]) - np.float64(other[top]))
                    total += difference * difference * difference
            else:
                for top in range(top_k):
                    total += abs(np.float64(own[top]) - np.float64(other[top])) ** power
            cost[concept, neuron] = total / top_k
