"""The permutation null: what the best of a whole vocabulary reaches when the images are shuffled."""

from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from itertools import islice
from math import ceil

import torch
from torch import Tensor

from lightning_dissect.checks import check_positive
from lightning_dissect.similarity import DigestingScorer, Scorer, find_best, identity, live_neurons
from lightning_dissect.standardise import standardised_columns

DRAWS = 499
"""Permutations that a neuron is compared with; the lowest p-value is ``1 / (1 + DRAWS)``."""

LEAST_TOTAL = 4096
"""Fewest permutations of all neurons of a layer together."""

NEURONS_AT_ONCE = 1024
"""Permuted neurons that are scored together at least, where the similarity allows it."""

MOST_ROUNDS = 25
"""Rounds of a similarity that compares neurons: each costs as much as labelling the layer."""

_FEWEST_CONCEPTS = 64
_NEURONS_IN_CACHE = 64
_P_VALUES_AT_ONCE = 1024


def permutation_rounds(layer_size: int, draws: int = DRAWS, least_total: int = LEAST_TOTAL) -> int:
    """Return how often each neuron is permuted, so that neurons of like distribution share enough permutations.

    Args:
        layer_size: Neurons of the layer.
        draws: Permutations that a neuron is compared with.
        least_total: Fewest permutations of all neurons together.

    Raises:
        ValueError:
            If a number is not positive.

    Example:
        >>> permutation_rounds(10), permutation_rounds(2048), permutation_rounds(8192)
        (250, 2, 1)

    """
    for name, value in (("layer_size", layer_size), ("draws", draws), ("least_total", least_total)):
        check_positive(name, value)
    return ceil(draws / min(layer_size, draws, ceil(draws * layer_size / least_total)))


def best_scores(
    activations: Tensor, scorer: Scorer, width: int, over_processes: Callable[[Tensor], Tensor] = identity
) -> Tensor:
    """Return the best score of each neuron over all concepts, without holding the scores.

    They are rounded to float32: scores that differ by the order of summation alone are equal then, on one process or
    several.

    Args:
        activations: Pooled activations, shape ``(images, neurons)``.
        scorer: A prepared similarity.
        width: Concepts that are scored at once.
        over_processes: See `Scorer.blocks`.

    Returns:
        Shape ``(neurons,)``, float32; minus infinity where no score is defined.

    Example:
        >>> from lightning_dissect.similarity import Cosine, prepare
        >>> best_scores(torch.eye(3)[:, :2], prepare(Cosine(), torch.eye(3)), width=2)
        tensor([1., 1.])

    """
    return find_best(scorer, activations, 1, width, over_processes).values.flatten().to(torch.float32)


def permuted_scores(
    activations: Tensor,
    scorer: Scorer,
    rounds: int,
    width: int,
    *,
    layer_size: int,
    first_unit: int = 0,
    over_processes: Callable[[Tensor], Tensor] = identity,
    seed: int = 0,
    max_bytes: int = 2**26,
) -> Tensor:
    """Return the best scores that neurons reach when their activations belong to other images.

    A permutation is the random order of images of a round, followed by a random rotation for each neuron, and depends
    on nothing but the seed, the round and the neuron's place in the layer. Some neurons at a time are permuted, or
    several rounds of a small layer. A similarity that compares a neuron with all others sees these permuted as well,
    one round at a time, by their digests.

    Args:
        activations: Pooled activations of consecutive neurons, shape ``(images, neurons)``; there may be none.
        scorer: A prepared similarity.
        rounds: Permutations of each neuron; at most `MOST_ROUNDS` where neurons are compared with each other.
        width: Concepts that are scored at once.
        layer_size: Neurons of the layer.
        first_unit: Place of the first of these neurons in the layer.
        over_processes: See `Scorer.blocks`; all processes must then call this.
        seed: Seed of the permutations.
        max_bytes: Most bytes that permuted activations take; at least one neuron is permuted at a time.

    Returns:
        Shape ``(neurons, rounds)``, float32, see `best_scores`.

    Raises:
        TypeError:
            If the scorer compares neurons but is no `DigestingScorer`.

    """
    images, neurons = activations.shape
    at_once = max(1, min(NEURONS_AT_ONCE, max_bytes // (4 * images)))
    together = max(1, at_once // max(1, neurons))
    if isinstance(scorer, DigestingScorer):
        rounds, together = min(rounds, MOST_ROUNDS), 1
    room = torch.empty(min(rounds, together) * min(neurons, at_once), images)
    permutations = _permutations(images, layer_size, slice(first_unit, first_unit + neurons), seed)
    found = activations.new_empty(neurons, rounds, dtype=torch.float32)
    for done in range(0, rounds, together):
        drawn = list(islice(permutations, min(together, rounds - done)))
        parts = _permuted(activations, drawn, at_once, room)
        if isinstance(scorer, DigestingScorer):
            digests = torch.cat([scorer.digest(permuted) for _, permuted in parts])
            found[:, done] = _best(scorer.digest_blocks(digests, width, over_processes))
        else:
            for units, permuted in parts:
                best = best_scores(permuted, scorer, width, _not_comparing)
                found[units, done : done + len(drawn)] = best.view(len(drawn), permuted.shape[1] // len(drawn)).T
    return found


def skewness(activations: Tensor) -> Tensor:
    """Return how lopsided each neuron's distribution is: the mean cube of its standardised activations.

    Args:
        activations: Pooled activations, shape ``(images, neurons)``.

    Returns:
        Shape ``(neurons,)``, float32; NaN for constant neurons.

    Example:
        >>> skewness(torch.tensor([[0.0, 0.0], [1.0, 0.0], [2.0, 6.0]]))
        tensor([0.0000, 0.7071])

    """
    found = [activations.new_empty(0, dtype=torch.float32)]
    for part in _parts(activations.shape[1]):
        columns = standardised_columns(activations[:, part])
        found.append((columns.pow(3).sum(dim=0) * len(columns) ** 0.5).to(torch.float32))
    return torch.cat(found)


def chance_p_values(best: Tensor, lopsidedness: Tensor, null: Tensor, draws: int = DRAWS) -> Tensor:
    r"""Return how often permuted neurons of like distribution reach so good a best score.

    .. math:: p = (1 + \#\{\text{null} \ge t\}) / (1 + \#\text{null})

    Args:
        best: Best score of every neuron of a layer, shape ``(neurons,)``; NaN for neurons that do not count.
        lopsidedness: Skewness of every neuron, of the same shape.
        null: Best scores under permutation, shape ``(neurons, rounds)``.
        draws: Permutations that a neuron is compared with at least: those of the neurons of nearest skewness.

    Returns:
        Shape ``(neurons,)``, float64; NaN where ``best`` is.

    Example:
        >>> chance_p_values(torch.tensor([3.0, 1.0]), torch.zeros(2), torch.tensor([[1.0, 2.0], [2.0, 0.0]]), draws=4)
        tensor([0.2000, 0.8000], dtype=torch.float64)

    """
    p_values = torch.full(best.shape, torch.nan, dtype=torch.float64, device=best.device)
    live = (~best.isnan()).nonzero().flatten()
    if not len(live):
        return p_values
    live = live[lopsidedness[live].argsort(stable=True)]
    rounds = null.shape[1]
    window = min(len(live), ceil(draws / rounds))
    windows = null[live].T.contiguous().unfold(1, window, 1)
    starts = (torch.arange(len(live), device=best.device) - window // 2).clamp_(0, len(live) - window)
    for neurons, start in zip(
        torch.split(live, _P_VALUES_AT_ONCE), torch.split(starts, _P_VALUES_AT_ONCE), strict=True
    ):
        above = (windows[:, start] >= best[neurons, None]).sum(dim=(0, 2))
        p_values[neurons] = (1 + above).to(torch.float64) / (1 + rounds * window)
    return p_values


def permutation_p_values(
    activations: Tensor,
    scorer: Scorer,
    draws: int = DRAWS,
    least_total: int = LEAST_TOTAL,
    *,
    seed: int = 0,
    max_bytes: int = 2**26,
) -> Tensor:
    """Return how often a neuron's best score would be as good if its activations belonged to other images.

    The null is of the *maximum over the vocabulary*, so no correction for the number of concepts is needed. It
    depends on a neuron only through the shape of its distribution; therefore neurons share their permutations with
    those of nearest skewness. All neurons together take ``least_total`` permutations, or one each if they are more,
    and every neuron is compared with at least ``draws`` of them, or with all there are where most neurons are constant:
    about as much work as labelling the layer once or twice more.

    Args:
        activations: Pooled activations of a whole layer, shape ``(images, neurons)``.
        scorer: The similarity that chose the labels, prepared for the concept matrix of these images.
        draws: Permutations that a neuron is compared with; the lowest p-value is ``1 / (1 + draws)``.
        least_total: Fewest permutations of all neurons together.
        seed: Seed of the permutations.
        max_bytes: Most bytes of permuted activations in memory, and of the scores of some concepts.

    Returns:
        Shape ``(neurons,)``, float64; NaN for constant and non-finite neurons.

    Raises:
        ValueError:
            If a number is not positive.

    Example:
        >>> from lightning_dissect.similarity import Correlation, prepare
        >>> concept_matrix, noise = torch.randn(2, 300, 8, generator=torch.Generator().manual_seed(0))
        >>> scorer = prepare(Correlation(), concept_matrix)
        >>> permutation_p_values(concept_matrix, scorer).max() <= 0.01, permutation_p_values(noise, scorer).min() > 0.01
        (tensor(True), tensor(True))

    References:
        Westfall and Young, Resampling-Based Multiple Testing, 1993 (the maximum); Phipson and Smyth, Permutation
        P-values should never be zero, 2010.

    """
    check_positive("max_bytes", max_bytes)
    size = activations.shape[1]
    rounds, width = permutation_rounds(size, draws, least_total), concepts_at_once(size, max_bytes)
    null = permuted_scores(activations, scorer, rounds, width, layer_size=size, seed=seed, max_bytes=max_bytes)
    best = best_scores(activations, scorer, width).where(live_neurons(activations), torch.nan)
    return chance_p_values(best, skewness(activations), null, draws)


def concepts_at_once(layer_size: int, max_bytes: int) -> int:
    """Return how many concepts to score at once, the same on processes with different shares of neurons.

    Args:
        layer_size: Neurons of the layer.
        max_bytes: Most bytes of the float64 scores of these concepts.

    """
    return max(_FEWEST_CONCEPTS, max_bytes // (8 * max(NEURONS_AT_ONCE, layer_size)))


def _best(blocks: Iterator[tuple[slice, Tensor]]) -> Tensor:
    return reduce(torch.maximum, (_peaks(scores) for _, scores in blocks)).to(torch.float32)


def _peaks(scores: Tensor) -> Tensor:
    peaks = scores.amax(dim=1)
    return scores.where(~scores.isnan(), -torch.inf).amax(dim=1) if peaks.isnan().any() else peaks


def _not_comparing(values: Tensor) -> Tensor:
    raise TypeError(
        f"Expected a scorer that compares neurons to be a `DigestingScorer` but got one that asked for {len(values)} "
        "sums over neurons. Give it `digest` and `digest_blocks`."
    )


def _permutations(images: int, layer_size: int, units: slice, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the order of images of each round and the rotations of some neurons."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(images, generator=generator)
        yield order, torch.randint(images, (layer_size,), generator=generator)[units]


def _permuted(
    activations: Tensor, drawn: Sequence[tuple[Tensor, Tensor]], at_once: int, room: Tensor
) -> Iterator[tuple[slice, Tensor]]:
    """Yield ranges of neurons and their activations, permuted as drawn for each round, one round after the other.

    They share the room, shape ``(permuted neurons, images)``. Without neurons there is one empty range.
    """
    for start in range(0, max(1, activations.shape[1]), at_once):
        units = slice(start, min(start + at_once, activations.shape[1]))
        some = activations[:, units]
        permuted = room[: len(drawn) * some.shape[1]]
        for copy, (order, rotations) in zip(permuted.view(len(drawn), *some.T.shape), drawn, strict=True):
            _permute(some, order, rotations[units], copy)
        yield units, permuted.T.to(activations.device)


def _permute(activations: Tensor, order: Tensor, rotations: Tensor, permuted: Tensor) -> None:
    """Write activations in one order, each rotated on its own, as rows."""
    for part in _parts(activations.shape[1]):
        rows = activations[:, part].T.to("cpu", torch.float32)
        torch.gather(torch.cat([rows, rows], dim=1), 1, order + rotations[part, None], out=permuted[part])


def _parts(count: int) -> Iterator[slice]:
    return (slice(start, start + _NEURONS_IN_CACHE) for start in range(0, count, _NEURONS_IN_CACHE))
