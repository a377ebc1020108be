"""Pointwise mutual information of top images and concepts, common to WPMI and soft-WPMI."""

import math

import torch
from torch import Tensor

from lightning_dissect.presence import ConceptPresence
from lightning_dissect.similarity.live import live_neurons
from lightning_dissect.similarity.top_images import top_rows

DEEPEST = 650.0
"""A product of factors is kept above exp(-650), well inside float64, before its logarithm is taken."""


def pointwise_mutual_information(
    activations: Tensor,
    concept_matrix: Tensor,
    *,
    scale: float,
    membership: Tensor,
    epsilon: float,
    prior_weight: float,
    max_bytes: int,
) -> Tensor:
    r"""Return the log-likelihood of each neuron's top images under each concept, relative to the other neurons.

    With :math:`q_{im}` the softmax over concepts of ``scale * concept_matrix`` and :math:`I_k(j)` the image of rank
    :math:`j` of neuron :math:`k`,

    .. math::
        L_{km} = \sum_j \log(1 - p_j + \epsilon + p_j q_{I_k(j) m}), \qquad
        \text{score}(k, m) = L_{km} - \lambda \log \frac{1}{K} \sum_{k'} e^{L_{k'm}} .

    Factors are multiplied in float64 and their logarithm is taken just before they could underflow, which costs one
    logarithm per pair instead of one per image and loses nothing to cancellation.

    Args:
        activations: Pooled activations, shape ``(images, neurons)``.
        concept_matrix: Image-text similarities, shape ``(images, concepts)``.
        scale: Factor on the concept matrix before the softmax.
        membership: Probability :math:`p_j` that the image of rank j belongs to the neuron's top, shape ``(top_k,)``.
        epsilon: Least value of a factor.
        prior_weight: Weight :math:`\lambda` of the mean over neurons.
        max_bytes: Most bytes that an intermediate tensor may take.

    Returns:
        Float64 scores, shape ``(neurons, concepts)``; NaN for neurons that are constant or not finite, which do not
        count in the mean over neurons either.

    """
    live = live_neurons(activations)
    scores = torch.full((activations.shape[1], concept_matrix.shape[1]), torch.nan, dtype=torch.float64)
    scores = scores.to(activations.device)
    count = int(live.sum())
    if count == 0:
        return scores
    rows = top_rows(activations[:, live], len(membership), max_bytes)
    presence = ConceptPresence(concept_matrix, temperature=scale, max_bytes=max_bytes)
    columns = max(1, max_bytes // (8 * max(count, len(concept_matrix))))
    for start in range(0, concept_matrix.shape[1], columns):
        block = slice(start, start + columns)
        likelihood = _log_likelihood(presence.columns(block), rows, membership, epsilon)
        prior = likelihood.logsumexp(dim=0) - math.log(count)
        scores[live, block] = likelihood - prior_weight * prior
    return scores


def _log_likelihood(probability: Tensor, rows: Tensor, membership: Tensor, epsilon: float) -> Tensor:
    likelihood = torch.zeros(len(rows), probability.shape[1], dtype=torch.float64, device=probability.device)
    product = torch.ones_like(likelihood)
    depth = 0.0
    for rank, slope in enumerate(membership.tolist()):
        offset = 1 - slope + epsilon
        depth -= math.log(offset)
        if depth > DEEPEST:
            likelihood += product.log()
            product.fill_(1)
            depth = -math.log(offset)
        product *= probability[rows[:, rank]].mul_(slope).add_(offset)
    return likelihood.add_(product.log_())
