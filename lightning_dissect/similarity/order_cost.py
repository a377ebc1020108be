"""What it costs to hand out a neuron's top activations in the order of a concept."""

import numpy as np
import torch
from torch import Tensor

from lightning_dissect.compiled import Array, compiled
from lightning_dissect.similarity.digit_order import ascending_order
from lightning_dissect.threads import run_in_threads

SORTED_AT_ONCE = 2**17
"""Similarities that a thread sorts at a time."""

KEYS_AT_ONCE = 2**18
"""Top images of pairs that a thread sorts before it compares them: enough to be worth a call, yet fitting a cache."""


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

    The images are sorted once per concept. Then a pair sorts no similarities but small integers, in place: the place of
    an image in the concept's order, followed in its lowest bits by its place in the neuron's. So equally similar images
    are in the order of the neuron, and the lowest bits say where the value stands that each image hands out.
    NumPy sorts such integers with vector instructions where the processor has them (those of AVX2 from NumPy 2 on).

    Args:
        values: Activations of each neuron's top images, most activating first, shape ``(neurons, top_k)``.
        rows: Rows of those images, of the same shape.
        power: Exponent of the differences.

    """

    def __init__(self, values: Tensor, rows: Tensor, power: float) -> None:
        self._values, self._power = values.numpy(), power
        self._ascending = np.ascontiguousarray(self._values[:, ::-1])
        self._images, places = np.unique(rows.numpy(), return_inverse=True)
        self._places = places.reshape(rows.shape).astype(np.min_scalar_type(len(self._images)))
        step = 2 ** (rows.shape[1] - 1).bit_length()
        key = key_type(len(self._images) * step)
        self._ranks, self._step, self._mask = np.arange(rows.shape[1], dtype=key), key(step), key(step - 1)

    def of(self, similarities: Tensor) -> Tensor:
        """Return the cost for some concepts.

        Args:
            similarities: Shape ``(images, concepts)``.

        Returns:
            Shape ``(neurons, concepts)``, float64.

        """
        cost = torch.empty(len(self._values), similarities.shape[1], dtype=torch.float64)
        concepts, results = similarities.detach().numpy().T, cost.numpy()

        def fill(part: slice) -> None:
            results[:, part] = self._cost(np.take(concepts[part], self._images, axis=1)).T

        run_in_threads(fill, len(concepts), max(1, SORTED_AT_ONCE // len(self._images)))
        return cost

    def _cost(self, similarities: Array) -> Array:
        """Return the cost for some concepts, of which the similarities of the top images are given row by row."""
        write, hand, compare = compiled(write_keys), compiled(hand_out), compiled(mean_powers, reassociate=True)
        steps = np.empty(similarities.shape, self._ranks.dtype)
        compiled(count_steps)(similarities, ascending_order(similarities), steps)
        steps *= self._step
        concepts, (neurons, top_k) = len(similarities), self._values.shape
        cost = np.empty((concepts, neurons))
        few = min(neurons, max(1, KEYS_AT_ONCE // (concepts * top_k)))
        keys, room = (np.empty((concepts, few, top_k), array.dtype) for array in (self._ranks, self._values))
        for start in range(0, neurons, few):
            some = slice(start, min(start + few, neurons))
            own, handed_out = keys[:, : some.stop - start], room[:, : some.stop - start]
            write(steps, self._places[some], self._ranks, own)
            own.sort(axis=2)
            hand(self._values[some], own, self._mask, handed_out)
            compare(self._ascending[some], handed_out, self._power, cost[:, some])
        return cost


def order_cost_of_pairs(  # noqa: PLR0917
    values: Tensor, rows: Tensor, similarities: Tensor, neurons: Tensor, concepts: Tensor, power: float
) -> Tensor:
    """Return the cost for some pairs of a neuron and a concept as `CompiledOrderCost` does for all, to the last bit.

    Args:
        values: Activations of each neuron's top images, most activating first, shape ``(neurons, top_k)``.
        rows: Rows of those images, of the same shape.
        similarities: Shape ``(images, concepts)``.
        neurons: Neuron of each pair, shape ``(pairs,)``.
        concepts: Concept of each pair, of the same shape.
        power: Exponent of the differences.

    Returns:
        Shape ``(pairs,)``, float64.

    """
    cost = torch.empty(len(neurons), dtype=torch.float64)
    images, source, own_values, results = rows.numpy(), similarities.detach().numpy(), values.numpy(), cost.numpy()
    take, hand, compare = compiled(take_pairs), compiled(hand_out), compiled(mean_powers, reassociate=True)

    def fill(part: slice) -> None:
        some = neurons[part].numpy()
        own, found = own_values[some], np.empty((len(some), rows.shape[1]), source.dtype)
        take(source, images, some, concepts[part].numpy(), found)
        order = ascending_order(found)
        handed_out = np.empty((1, *own.shape), own.dtype)
        hand(own, order[None], np.iinfo(order.dtype).max, handed_out)
        compare(np.ascontiguousarray(own[:, ::-1]), handed_out, power, results[None, part])

    run_in_threads(fill, len(neurons), max(1, KEYS_AT_ONCE // rows.shape[1]))
    return cost


def key_type(keys: int) -> type[np.unsignedinteger]:
    """Return the type of so many different keys; the narrow one is sorted ten times as fast."""
    return np.uint32 if keys <= 2**32 else np.uint64


def count_steps(similarities: Array, orders: Array, steps: Array) -> None:
    """Write how many different similarities are below that of each image.

    Args:
        similarities: Similarities of some concepts, shape ``(concepts, images)``.
        orders: Images of each concept, least similar first, of the same shape.
        steps: What is written, of the same shape, unsigned.

    """
    for concept in range(len(orders)):
        similarity, order, count = similarities[concept], orders[concept], 0
        steps[concept, order[0]] = 0
        for place in range(1, len(order)):
            count += similarity[order[place]] != similarity[order[place - 1]]
            steps[concept, order[place]] = count


def write_keys(steps: Array, places: Array, ranks: Array, keys: Array) -> None:
    """Write integers that sort the top images of each neuron by a concept, and equally similar ones as they are.

    Args:
        steps: How far up each image is in the order of each concept, shape ``(concepts, images)``, unsigned; multiples
            of a power of two that is no less than ``top_k``.
        places: Each neuron's top images, shape ``(neurons, top_k)``, unsigned.
        ranks: The numbers below ``top_k``, of the dtype of ``steps``.
        keys: What is written, shape ``(concepts, neurons, top_k)``, of the dtype of ``steps``.

    """
    concepts, neurons, top_k = keys.shape
    for concept in range(concepts):
        step = steps[concept]
        for neuron in range(neurons):
            own, key = places[neuron], keys[concept, neuron]
            for top in range(top_k):
                key[top] = step[own[top]]
            for top in range(top_k):
                key[top] |= ranks[top]


def take_pairs(similarities: Array, rows: Array, neurons: Array, concepts: Array, taken: Array) -> None:
    """Write the similarities of the neurons' top images to one concept each.

    Args:
        similarities: Shape ``(images, concepts)``.
        rows: Each neuron's top images, shape ``(neurons, top_k)``.
        neurons: Shape ``(pairs,)``.
        concepts: Shape ``(pairs,)``.
        taken: What is written, shape ``(pairs, top_k)``.

    """
    for pair in range(len(neurons)):
        own, concept = rows[neurons[pair]], concepts[pair]
        for top in range(len(own)):
            taken[pair, top] = similarities[own[top], concept]


def hand_out(values: Array, keys: Array, mask: Array, handed_out: Array) -> None:
    """Write each neuron's top values in the order of keys.

    Args:
        values: Shape ``(neurons, top_k)``.
        keys: Where each value stands, in the bits of the mask, shape ``(concepts, neurons, top_k)``.
        mask: One less than a power of two, a number of the dtype of ``keys``.
        handed_out: What is written, of the shape of ``keys`` and the dtype of ``values``.

    """
    concepts, neurons, top_k = keys.shape
    for concept in range(concepts):
        for neuron in range(neurons):
            own, key, other = values[neuron], keys[concept, neuron], handed_out[concept, neuron]
            for top in range(top_k):
                other[top] = own[key[top] & mask]


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
