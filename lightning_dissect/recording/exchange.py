"""Transposes a layer between processes: from own images, all neurons to all images, own neurons."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_dissect.peers import Peers
from lightning_dissect.recording.pooled import PooledActivations, first_occurrences

_COPIES = 5
"""How often a row is held on its way: picked, cut into columns, on the wire, off the wire, put together."""


@dataclass(frozen=True)
class NeuronShare:
    """The neurons of a layer that one process labels, on the images of all processes.

    Args:
        units: Which neurons of the layer.
        sample_ids: Images in ascending order, each once, shape ``(images,)`` int64.
        activations: Pooled activations, shape ``(images, own neurons)`` float32.
        layer_size: Neurons of the layer over all processes.

    """

    units: slice
    sample_ids: Tensor
    activations: Tensor
    layer_size: int


def share_of(neurons: int, rank: int, world_size: int) -> slice:
    """Return the neurons that a process labels: a range, and no two ranges differ by more than one neuron.

    Args:
        neurons: Neurons of the layer.
        rank: Place of the process.
        world_size: Number of processes.

    Example:
        >>> [share_of(5, rank, world_size=3) for rank in range(3)]
        [slice(0, 1, None), slice(1, 3, None), slice(3, 5, None)]

    """
    return slice(rank * neurons // world_size, (rank + 1) * neurons // world_size)


@torch.inference_mode(mode=False)
def exchange_neurons(state: PooledActivations, peers: Peers, max_bytes: int) -> NeuronShare:
    """Hand every other process the columns of its neurons, and get those of one's own for all images.

    Every activation travels at most once, so a process sends no more than it holds, however many processes there are.
    An image that several processes recorded counts once: the row of the lowest rank. The result is the same numbers
    in the same order as columns of what a single process would have recorded.

    Args:
        state: This process's images of the layer; none at all is fine.
        peers: All processes. Every one must call this for the same layer.
        max_bytes: How much to hold on the way, beside what was recorded and the result; no less than one row at a
            time. The smallest number of all processes counts.

    Returns:
        This process's share. With one process it is what ``state`` holds, not a copy.

    Raises:
        ValueError:
            If processes recorded different numbers of neurons. It is raised on all.

    Example:
        >>> from lightning_dissect.distributed import in_step
        >>> state = PooledActivations()
        >>> state.update(torch.tensor([7, 2]), torch.tensor([[0.7], [0.2]]))
        >>> with in_step("labelling layer1") as peers:
        ...     share = exchange_neurons(state, peers, max_bytes=2**20)
        >>> share.units, share.sample_ids.tolist()
        (slice(0, 1, None), [2, 7])

    """
    own_ids, activations = state.compute()
    if peers.world_size == 1:
        return NeuronShare(slice(0, activations.shape[1]), own_ids, activations, activations.shape[1])
    neurons, max_bytes = _agreed(activations, peers, max_bytes)
    sample_ids, counted, targets = _each_once(peers.all_gather_rows(own_ids))
    shares = [share_of(neurons, rank, peers.world_size) for rank in range(peers.world_size)]
    units = shares[peers.rank]
    joined = torch.empty(len(sample_ids), units.stop - units.start)
    activations = activations.reshape(len(activations), neurons)
    step = max(1, max_bytes // (_COPIES * activations.element_size() * max(1, neurons)))
    for start in range(0, max(map(len, counted)), step):
        rows = _picked(activations, counted[peers.rank][start : start + step])
        came = peers.all_to_all([rows[:, share] for share in shares])
        for target, values in zip(targets, came, strict=True):
            joined.index_copy_(0, target[start : start + step], values)
    return NeuronShare(units, sample_ids, joined, neurons)


def _agreed(activations: Tensor, peers: Peers, max_bytes: int) -> tuple[int, int]:
    """Return how many neurons the layer has on all processes, and the smallest of their ``max_bytes``."""
    told = peers.all_gather((activations.shape[1] if len(activations) else None, max_bytes))
    neurons = {width: rank for rank, (width, _) in reversed(list(enumerate(told))) if width is not None}
    if len(neurons) > 1:
        found = " and ".join(f"{width} on rank {rank}" for width, rank in sorted(neurons.items(), key=lambda n: n[1]))
        raise ValueError(f"Expected a layer to have equally many neurons on all processes but got {found}.")
    return next(iter(neurons), 0), min(limit for _, limit in told)


def _each_once(ids_of_ranks: list[Tensor]) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Find which rows count.

    Args:
        ids_of_ranks: Sample ids of the rows of every process.

    Returns:
        All ids in ascending order, each once; for every process, which of its rows count, and where among all ids
        they belong.

    """
    ids = torch.cat(ids_of_ranks)
    first = first_occurrences(ids)
    places = torch.full_like(ids, -1)
    places[first] = torch.arange(len(first))
    places_of_ranks = torch.split(places, [len(own) for own in ids_of_ranks])
    counted = [(own >= 0).nonzero().flatten() for own in places_of_ranks]
    return ids[first], counted, [own[rows] for own, rows in zip(places_of_ranks, counted, strict=True)]


def _picked(values: Tensor, rows: Tensor) -> Tensor:
    """Return rows at ascending positions, without a copy where they follow each other."""
    if len(rows) and int(rows[-1]) - int(rows[0]) == len(rows) - 1:
        return values[int(rows[0]) : int(rows[-1]) + 1]
    return values[rows]
