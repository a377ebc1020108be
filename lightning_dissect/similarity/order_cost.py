"""What it costs to hand out a neuron's top activations in the order of a concept."""

import numpy as np
import torch
from torch import Tensor

from lightning_dissect.compiled import Array, compiled
from lightning_dissect.threads import run_in_threads

FEW_CONCEPTS = 8
"""Concepts whose ranks stay in a processor's cache beside the top images of some neurons."""

FEW_NEURONS = 128


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


def order_cost_by_numba(values: Tensor, rows: Tensor, similarities: Tensor, power: float) -> Tensor:
    """Return the cost as `order_cost_by_torch` does, on the CPU and where numba is installed.

    Images are sorted once per concept. The place of a top image among the others of a neuron is the number of their
    ranks below its own, which are counted in a bitmap of ranks.
    """
    cost = torch.empty(len(rows), similarities.shape[1], dtype=torch.float64)
    rank, loop = compiled(shared_ranks), compiled(order_costs, reassociate=True)
    concepts, results = similarities.detach().numpy().T, cost.numpy()
    top_rows = rows.numpy().astype(np.uint16 if len(similarities) <= 2**16 else np.uint32)
    top_values = values.numpy()

    def fill(part: slice) -> None:
        tile = np.ascontiguousarray(concepts[part])
        ranks = np.empty(tile.shape, np.uint32)
        rank(tile, tile.argsort(axis=1), ranks)
        found = np.empty((len(tile), len(results)))
        for start in range(0, len(results), FEW_NEURONS):
            few = slice(start, start + FEW_NEURONS)
            loop(ranks, top_rows[few], top_values[few], power, found[:, few])
        results[:, part] = found.T

    run_in_threads(fill, len(concepts), FEW_CONCEPTS)
    return cost


def shared_ranks(similarities: Array, orders: Array, ranks: Array) -> None:
    """Write the rank of every image in some concepts; equally similar images share the lowest of theirs.

    Args:
        similarities: Shape ``(concepts, images)``.
        orders: Images of each concept, least similar first, of the same shape.
        ranks: What is written, of the same shape.

    """
    concepts, images = orders.shape
    for concept in range(concepts):
        previous = orders[concept, 0]
        ranks[concept, previous] = 0
        for place in range(1, images):
            image = orders[concept, place]
            tied = similarities[concept, image] == similarities[concept, previous]
            ranks[concept, image] = ranks[concept, previous] if tied else place
            previous = image


def order_costs(rank_of: Array, rows: Array, values: Array, power: float, cost: Array) -> None:
    """Write the cost of every pair of some concepts and neurons.

    Where two equally similar images are in the top of a neuron, bits of the bitmap coincide and the pair is sorted.

    Args:
        rank_of: Ranks of images in concepts, shape ``(concepts, images)``, unsigned.
        rows: Shape ``(neurons, top_k)``, unsigned.
        values: Shape ``(neurons, top_k)``, descending.
        power: Exponent of the differences.
        cost: What is written, shape ``(concepts, neurons)``.

    """
    concepts, images = rank_of.shape
    neurons, top_k = rows.shape
    num_words = (images + 31) // 32
    words, before = np.zeros(num_words, np.uint32), np.zeros(num_words, np.int32)
    ranks, handed_out = np.zeros(top_k, np.int32), np.zeros(top_k, values.dtype)
    for neuron in range(neurons):
        ascending = values[neuron, ::-1].copy()
        for concept in range(concepts):
            words[:] = np.uint32(0)
            for top in range(top_k):
                rank = np.int32(rank_of[concept, rows[neuron, top]])
                ranks[top] = rank
                words[rank >> 5] |= np.uint32(1) << np.uint32(rank & 31)
            total = np.int32(0)
            for word in range(num_words):
                before[word] = total
                bits = words[word]
                bits = bits - ((bits >> np.uint32(1)) & np.uint32(0x55555555))
                bits = (bits & np.uint32(0x33333333)) + ((bits >> np.uint32(2)) & np.uint32(0x33333333))
                bits = (bits + (bits >> np.uint32(4))) & np.uint32(0x0F0F0F0F)
                total += np.int32(((bits * np.uint32(0x01010101)) >> np.uint32(24)) & np.uint32(255))
            if total == top_k:
                for top in range(top_k):
                    rank = ranks[top]
                    bits = words[rank >> 5] & ((np.uint32(1) << np.uint32(rank & 31)) - np.uint32(1))
                    bits = bits - ((bits >> np.uint32(1)) & np.uint32(0x55555555))
                    bits = (bits & np.uint32(0x33333333)) + ((bits >> np.uint32(2)) & np.uint32(0x33333333))
                    bits = (bits + (bits >> np.uint32(4))) & np.uint32(0x0F0F0F0F)
                    below = np.int32(((bits * np.uint32(0x01010101)) >> np.uint32(24)) & np.uint32(255))
                    handed_out[top] = ascending[before[rank >> 5] + below]
            else:
                handed_out[np.argsort(ranks, kind="mergesort")] = ascending
            distance = 0.0
            if power == 3.0:
                for top in range(top_k):
                    difference = abs(np.float64(values[neuron, top]) - np.float64(handed_out[top]))
                    distance += difference * difference * difference
            else:
                for top in range(top_k):
                    distance += abs(np.float64(values[neuron, top]) - np.float64(handed_out[top])) ** power
            cost[concept, neuron] = distance / top_k
