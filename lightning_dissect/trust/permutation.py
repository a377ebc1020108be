"""The permutation null: what the best of a whole vocabulary reaches when the images are shuffled."""

from collections.abc import Iterator
from math import ceil

import torch
from torch import Tensor

from lightning_dissect.checks import check_positive
from lightning_dissect.similarity import Scorer, live_neurons
from lightning_dissect.standardise import standardised_columns
from lightning_dissect.trust.discovery import exceedance_p_values


def permutation_p_values(  # noqa: PLR0917
    activations: Tensor,
    scorer: Scorer,
    draws: int = 499,
    least_total: int = 4096,
    seed: int = 0,
    max_bytes: int = 2**28,
) -> Tensor:
    """Return how often a neuron's best score would be as good if its activations belonged to other images.

    The null is of the *maximum over the vocabulary*, so no correction for the number of concepts is needed. It
    depends on a neuron only through the shape of its distribution; therefore neurons share their permutations with
    those of nearest skewness. All neurons together take ``least_total`` permutations, or one each if they are more,
    and every neuron is compared with at least ``draws`` of them: about as much work as labelling the layer
    once or twice more.

    Each permutation is a random order of the images followed by a random rotation for each neuron. A similarity
    whose score depends on the other neurons of the call sees these permuted as well.

    Args:
        activations: Pooled activations, shape ``(images, neurons)``.
        scorer: The similarity that chose the labels, prepared for the concept matrix of these images.
        draws: Permutations that a neuron is compared with; the lowest p-value is ``1 / (1 + draws)``.
        least_total: Fewest permutations of all neurons together.
        seed: Seed of the permutations.
        max_bytes: Most bytes of the float64 scores of one call.

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
    for name, value in (("draws", draws), ("least_total", least_total), ("max_bytes", max_bytes)):
        check_positive(name, value)
    live = live_neurons(activations).nonzero().flatten()
    p_values = torch.full((activations.shape[1],), torch.nan, dtype=torch.float64, device=activations.device)
    if not len(live):
        return p_values
    live = live[_skewness(activations, live).argsort()]
    columns = activations[:, live]
    width = _calls_width(columns, scorer, max_bytes)
    observed = _best_scores(columns, scorer, width)
    generator = torch.Generator().manual_seed(seed)
    window = min(len(live), draws, ceil(draws * len(live) / least_total))
    null = torch.stack(
        [_best_scores(_permuted(columns, generator), scorer, width) for _ in range(ceil(draws / window))]
    )
    for neuron in range(len(live)):
        start = min(max(0, neuron - window // 2), len(live) - window)
        share = null[:, start : start + window].flatten()
        p_values[live[neuron]] = exceedance_p_values(observed[neuron : neuron + 1], share)[0]
    return p_values


def _calls_width(columns: Tensor, scorer: Scorer, max_bytes: int) -> int:
    """Return how many neurons one call may score."""
    return max(1, max_bytes // (8 * scorer(columns[:, :1]).shape[1]))


def _best_scores(columns: Tensor, scorer: Scorer, width: int) -> Tensor:
    scores = (scorer(part) for part in torch.split(columns, width, dim=1))
    return torch.cat([part.nan_to_num(nan=-torch.inf).amax(dim=1).to(torch.float64) for part in scores])


def _permuted(columns: Tensor, generator: torch.Generator) -> Tensor:
    """Return columns in one random order, each rotated by a random number of images."""
    images, count = columns.shape
    order = torch.randperm(images, generator=generator).to(columns.device)
    rotations = torch.randint(images, (count,), generator=generator).to(columns.device)
    permuted = torch.empty_like(columns)
    for part in _parts(count):
        rows = (order[:, None] + rotations[part]) % images
        permuted[:, part] = columns[:, part].gather(0, rows)
    return permuted


def _skewness(activations: Tensor, neurons: Tensor) -> Tensor:
    parts = (standardised_columns(activations[:, neurons[part]]) for part in _parts(len(neurons)))
    return torch.cat([part.pow(3).sum(dim=0) for part in parts])


def _parts(count: int, width: int = 256) -> Iterator[slice]:
    return (slice(start, start + width) for start in range(0, count, width))
