"""Pointwise mutual information of top images and concepts, common to WPMI and soft-WPMI."""

import math

import numpy as np
import torch
from torch import Tensor

from lightning_dissect.compiled import runs_compiled
from lightning_dissect.presence import ConceptPresence
from lightning_dissect.similarity.live import live_neurons
from lightning_dissect.similarity.top_images import top_rows
from lightning_dissect.similarity.top_likelihood import TopLikelihood
from lightning_dissect.threads import run_in_threads

TILE = 64
"""Concepts that a thread of the compiled loop takes at once: eight registers of float64."""


def pointwise_mutual_information(
    activations: Tensor,
    presence: ConceptPresence,
    *,
    membership: Tensor,
    epsilon: float,
    prior_weight: float,
    max_bytes: int,
) -> Tensor:
    r"""Return the log-likelihood of each neuron's top images under each concept, relative to the other neurons.

    With the log-likelihood :math:`L` of `TopLikelihood`,

    .. math:: \text{score}(k, m) = L_{km} - \lambda \log \frac{1}{K} \sum_{k'} e^{L_{k'm}} .

    Presence is computed only on images that are in some neuron's top. On the CPU a compiled loop takes the products if
    numba is installed, otherwise torch does, with the same result to rounding of float64.

    Args:
        activations: Pooled activations, shape ``(images, neurons)``.
        presence: Presence of the concepts in the images.
        membership: Probability that the image of rank j belongs to the neuron's top, shape ``(top_k,)``.
        epsilon: Least value of a factor.
        prior_weight: Weight :math:`\lambda` of the mean over neurons.
        max_bytes: Most bytes that an intermediate tensor may take; each thread holds a few of them.

    Returns:
        Float64 scores, shape ``(neurons, concepts)``; NaN for neurons that are constant or not finite, which do not
        count in the mean over neurons either.

    """
    live = live_neurons(activations)
    concepts = presence.concept_matrix.shape[1]
    scores = torch.full((activations.shape[1], concepts), torch.nan, dtype=torch.float64, device=activations.device)
    if not live.any():
        return scores
    rows = top_rows(activations if live.all() else activations[:, live], len(membership), max_bytes)
    images, rows = torch.unique(rows, return_inverse=True)
    likelihood = TopLikelihood(rows, membership, epsilon)
    columns = max(1, max_bytes // (8 * max(len(rows), len(images))))

    def by_torch(block: slice) -> None:
        found = likelihood.by_torch(presence.columns(block, images))
        scores[live, block] = found - prior_weight * (found.logsumexp(dim=0) - math.log(len(rows)))

    if not runs_compiled(activations, presence.concept_matrix):
        for start in range(0, concepts, columns):
            by_torch(slice(start, start + columns))
        return scores

    matrix, normaliser = presence.concept_matrix.detach().numpy(), presence.normaliser.detach()[images].numpy()
    results, neurons, taken = scores.numpy(), live.nonzero().flatten().numpy(), images.numpy()

    def by_numba(block: slice) -> None:
        similarities = matrix[:, block] if len(taken) == len(matrix) else matrix[:, block][taken]
        logits = np.multiply(similarities, presence.temperature, dtype=np.float64)
        logits -= normaliser
        found = likelihood.by_numba(np.exp(logits, out=logits))
        peak = found.max(axis=0)
        prior = peak + np.log(np.exp(found - peak).mean(axis=0))
        found -= prior_weight * prior
        results[neurons, block] = found

    run_in_threads(by_numba, concepts, min(columns, TILE))
    return scores
