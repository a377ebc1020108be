"""Ranks of columns: midranks, ranks with ties broken at random, and places in a ranking."""

from typing import Literal

import torch
from torch import Tensor

from lightning_dissect.compiled import Array, compiled, runs_compiled
from lightning_dissect.threads import run_in_threads

Ties = Literal["mid", "random"]


def check_ties(ties: str) -> None:
    """Check the name of a rule for ties.

    Args:
        ties: ``"mid"`` or ``"random"``.

    Raises:
        ValueError:
            If it is neither.

    """
    if ties not in {"mid", "random"}:
        raise ValueError(f"Expected `ties` to be 'mid' or 'random' but got {ties!r}.")


def centred_ranks(rows: Tensor, order: Tensor | None = None) -> Tensor:
    """Return the ranks of values within each row, minus their mean.

    Args:
        rows: Shape ``(rows, images)``, finite.
        order: A permutation of the images in which equal values are ranked; equal values share the mean of their ranks
            if it is ``None``.

    Returns:
        Float64, shape ``(rows, images)``; every row sums to zero.

    Example:
        >>> centred_ranks(torch.tensor([[0.2, 0.7, 0.2, 0.9]]))
        tensor([[-1.0000,  0.5000, -1.0000,  1.5000]], dtype=torch.float64)

    """
    images = rows.shape[1]
    if order is not None:
        places = order[rows[:, order].argsort(dim=1, stable=True)]
        return _scattered(places, torch.arange(images, dtype=torch.float64, device=rows.device) - (images - 1) / 2)
    if runs_compiled(rows):
        return _ranked(rows, (0.5, 0.5, -images / 2), torch.float64)
    ordered, places = rows.sort(dim=1, stable=True)
    starts, ends = _runs(ordered)
    return _scattered(places, (starts + ends - images).to(torch.float64) / 2)


def counts_above(rows: Tensor) -> Tensor:
    """Return how many images of the row have at least the value of each image: its place, ties at the last one.

    Args:
        rows: Shape ``(rows, images)``, finite.

    Returns:
        Int32 from 1 to the number of images, shape ``(rows, images)``.

    Example:
        >>> counts_above(torch.tensor([[0.2, 0.7, 0.2, 0.9]]))
        tensor([[4, 2, 4, 1]], dtype=torch.int32)

    """
    if runs_compiled(rows):
        return _ranked(rows, (-1.0, 0.0, float(rows.shape[1])), torch.int32)
    ordered, places = rows.sort(dim=1, descending=True, stable=True)
    return _scattered(places, _runs(ordered)[1].to(torch.int32))


def rank_runs(values: Array, order: Array, weights: tuple[float, float, float], ranks: Array) -> None:
    """Give equal values the same rank, a sum of where their run begins and where it ends; a loop that numba compiles.

    Args:
        values: Shape ``(images,)``.
        order: Images in ascending order of their values, shape ``(images,)``.
        weights: Of the start of the run, of its end, and of 1.
        ranks: Takes the ranks, shape ``(images,)``.

    """
    start = 0
    while start < len(order):
        end = start + 1
        while end < len(order) and values[order[end]] == values[order[start]]:
            end += 1
        rank = weights[0] * start + weights[1] * end + weights[2]
        for place in range(start, end):
            ranks[order[place]] = rank
        start = end


def random_orders(seed: int, images: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return two permutations of the images: one for ties of neurons, one for ties of concepts.

    Args:
        seed: Seed of both.
        images: Number of images.
        device: Where they are wanted; they do not depend on it.

    """
    generator = torch.Generator().manual_seed(seed)
    of_neurons, of_concepts = (torch.randperm(images, generator=generator).to(device) for _ in range(2))
    return of_neurons, of_concepts


def _ranked(rows: Tensor, weights: tuple[float, float, float], dtype: torch.dtype) -> Tensor:
    """Return `rank_runs` of every row, each in one thread."""
    ranks = torch.empty(rows.shape, dtype=dtype)
    values, found, loop = rows.numpy(), ranks.numpy(), compiled(rank_runs)

    def rank(some: slice) -> None:
        for row in range(some.start, some.stop):
            loop(values[row], values[row].argsort(), weights, found[row])

    run_in_threads(rank, total=len(rows), width=1)
    return ranks


def _runs(ordered: Tensor) -> tuple[Tensor, Tensor]:
    """Return where the run of equal values around each value begins, and where it ends: ``start <= place < end``."""
    images = ordered.shape[1]
    starts = torch.arange(images, device=ordered.device)
    ends = starts + 1
    differs = ordered[:, 1:] != ordered[:, :-1]
    if differs.all():
        return starts, ends
    edge = differs.new_ones(len(ordered), 1)
    starts = starts.where(torch.cat([edge, differs], dim=1), 0).cummax(dim=1).values
    ends = ends.where(torch.cat([differs, edge], dim=1), images).flip(1).cummin(dim=1).values.flip(1)
    return starts, ends


def _scattered(places: Tensor, values: Tensor) -> Tensor:
    """Put the value of every place back to the image that holds it."""
    return torch.empty(places.shape, dtype=values.dtype, device=places.device).scatter_(
        1, places, values.expand(places.shape)
    )
