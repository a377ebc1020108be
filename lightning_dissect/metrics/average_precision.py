"""Average precision of many rankings for many truths."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from lightning_dissect.compiled import Array, compiled, runs_compiled
from lightning_dissect.threads import run_in_threads

WALK_SHARE = 16
"""A truth that holds for more than one image in this many is frequent: read at every image, not found by a list."""

WALKED_ROWS = 16
"""Rankings that are walked along at a time: as many as stay in the processor's cache."""


def average_precision(truths: Tensor, places: Tensor) -> Tensor:
    """Return the average precision of every ranking for every truth.

    Args:
        truths: Which images are relevant, boolean, shape ``(truths, images)``.
        places: Number of images that each ranking puts at or above each image, as `counts_above` gives it, int32 of
            shape ``(rankings, images)``.

    Returns:
        Float64, shape ``(truths, rankings)``; NaN for a truth that holds for no image.

    Example:
        >>> truths = torch.tensor([[True, False, True]])
        >>> average_precision(truths, torch.tensor([[1, 2, 3], [3, 3, 3]], dtype=torch.int32))
        tensor([[0.8333, 0.6667]], dtype=torch.float64)

    """
    relevant = truths.sum(dim=1)
    sums = torch.zeros(len(truths), len(places), dtype=torch.float64, device=truths.device)
    frequent = relevant * WALK_SHARE > truths.shape[1]
    add = _add_compiled if runs_compiled(sums) else _add_vectorised
    add(truths, places, sums, frequent)
    return sums / relevant[:, None]


def own_average_precision(truths: Tensor, places: Tensor) -> Tensor:
    """Return the average precision of the ranking at the same place for every truth.

    Args:
        truths: Which images are relevant, boolean, shape ``(truths, images)``.
        places: See `average_precision`, shape ``(truths, images)``.

    Returns:
        Float64, shape ``(truths,)``; NaN for a truth that holds for no image.

    Example:
        >>> own_average_precision(torch.tensor([[True, False, True]]), torch.tensor([[1, 2, 3]]))
        tensor([0.8333], dtype=torch.float64)

    """
    sums = [_sorted_precision(place[truth][None]) for truth, place in zip(truths, places, strict=True)]
    return torch.cat(sums) / truths.sum(dim=1)


def order_by_place(places: Array, order: Array, taken: Array) -> None:
    """Put images in the order of their places; a loop that numba compiles.

    Args:
        places: How many images the ranking puts at or above each image, shape ``(images,)``.
        order: Takes the images, shape ``(images,)``.
        taken: Zeros, shape ``(images + 1,)``.

    """
    for image in range(len(places)):
        place = places[image]
        taken[place] += 1
        order[place - taken[place]] = image


def add_listed(offsets: Array, members: Array, order: Array, places: Array, counts: Array) -> None:
    """Add up precision at the relevant images of rare truths along one ranking; a loop that numba compiles.

    Args:
        offsets: Where the truths of each image begin in ``members``, shape ``(images + 1,)``.
        members: Truths that hold for each image, image by image, shape ``(relevant,)``.
        order: Images from the top of the ranking to its end, shape ``(images,)``.
        places: How many images the ranking puts at or above each image, shape ``(images,)``.
        counts: Zeros; the first row counts relevant images, the second adds up precision; shape ``(2, truths)``.

    """
    hits, sums = counts[0], counts[1]
    start = 0
    while start < len(order):
        end = places[order[start]]
        precision = 1.0 / end
        for place in range(start, end - 1):
            for member in range(offsets[order[place]], offsets[order[place] + 1]):
                hits[members[member]] += 1
        for member in range(offsets[order[end - 1]], offsets[order[end - 1] + 1]):
            hits[members[member]] += 1
            sums[members[member]] += hits[members[member]] * precision
        for place in range(start, end - 1):
            for member in range(offsets[order[place]], offsets[order[place] + 1]):
                sums[members[member]] += hits[members[member]] * precision
        start = end


def add_masked(masks: Array, order: Array, places: Array, counts: Array) -> None:
    """Add up precision at the relevant images of frequent truths along one ranking; a loop that numba compiles.

    It reads every truth at every image, many in one instruction, which pays unless truths are rare.

    Args:
        masks: 1 where a truth holds, uint8 of shape ``(images, truths)``.
        order: As in `add_listed`.
        places: As in `add_listed`.
        counts: As in `add_listed`.

    """
    hits, sums = counts[0], counts[1]
    start = 0
    while start < len(order):
        end = places[order[start]]
        precision = 1.0 / end
        mask = masks[order[start]]
        if end == start + 1:
            for truth in range(len(hits)):
                hits[truth] += mask[truth]
                sums[truth] += mask[truth] * hits[truth] * precision
        else:
            before = hits.copy()
            for place in range(start, end):
                mask = masks[order[place]]
                for truth in range(len(hits)):
                    hits[truth] += mask[truth]
            for truth in range(len(hits)):
                sums[truth] += (hits[truth] - before[truth]) * hits[truth] * precision
        start = end


def _add_compiled(truths: Tensor, places: Tensor, sums: Tensor, frequent: Tensor) -> None:
    for chosen, add, form in ((~frequent, add_listed, _lists), (frequent, add_masked, _masks)):
        indices = chosen.nonzero()[:, 0]
        if len(indices):
            add_one = partial(compiled(add), *form(truths[indices]))
            run_in_threads(partial(_walk_rankings, add_one, places, sums, indices), total=len(places), width=1)


def _lists(truths: Tensor) -> tuple[Array, Array]:
    images, members = truths.T.nonzero(as_tuple=True)
    ends = torch.bincount(images, minlength=truths.shape[1]).cumsum(dim=0)
    return torch.cat([ends.new_zeros(1), ends]).numpy(), members.to(torch.int32).numpy()


def _masks(truths: Tensor) -> tuple[Array]:
    return (truths.T.contiguous().view(torch.uint8).numpy(),)


def _walk_rankings(add: Callable[..., None], places: Tensor, sums: Tensor, indices: Tensor, rankings: slice) -> None:
    images = places.shape[1]
    for ranking in range(rankings.start, rankings.stop):
        order, taken = torch.empty(images, dtype=torch.int32), torch.zeros(images + 1, dtype=torch.int32)
        counts = torch.zeros(2, len(indices), dtype=torch.float64)
        compiled(order_by_place)(places[ranking].numpy(), order.numpy(), taken.numpy())
        add(order.numpy(), places[ranking].numpy(), counts.numpy())
        sums[indices, ranking] = counts[1]


def _add_vectorised(truths: Tensor, places: Tensor, sums: Tensor, frequent: Tensor) -> None:
    for index in (~frequent).nonzero()[:, 0].tolist():
        sums[index] = _sorted_precision(places[:, truths[index]])
    if frequent.any():
        sums[frequent] = _walked_precision(truths[frequent].to(torch.float64), places)


def _sorted_precision(places: Tensor) -> Tensor:
    """Return the sum of precisions at relevant images from their places, shape ``(rankings, relevant)``."""
    ordered = places.sort(dim=1).values
    hits = torch.arange(1, ordered.shape[1] + 1, dtype=torch.float64, device=places.device)
    follows = ordered[:, 1:] == ordered[:, :-1]
    if follows.any():
        tied = torch.cat([follows, follows.new_zeros(len(follows), 1)], dim=1)
        hits = hits.masked_fill(tied, torch.inf).flip(1).cummin(dim=1).values.flip(1)
    return (hits / ordered).sum(dim=1)


def _walked_precision(truths: Tensor, places: Tensor) -> Tensor:
    """Return the sum of precisions at relevant images by walking along each ranking, shape ``(truths, rankings)``."""
    sums = torch.empty(len(truths), len(places), dtype=torch.float64, device=truths.device)
    for start in range(0, len(places), WALKED_ROWS):
        ordered, images = places[start : start + WALKED_ROWS].sort(dim=1)
        precision = ordered.to(torch.float64).reciprocal_()
        ends = None if (ordered[:, 1:] != ordered[:, :-1]).all() else ordered.long() - 1
        for index, truth in enumerate(truths):
            relevant = truth.index_select(0, images.flatten()).view(images.shape)
            hits = relevant.cumsum(dim=1)
            hits = hits if ends is None else hits.gather(1, ends)
            sums[index, start : start + WALKED_ROWS] = torch.linalg.vecdot(hits.mul_(relevant), precision)
    return sums
