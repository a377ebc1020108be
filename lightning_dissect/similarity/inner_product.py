"""Similarities that are an inner product of one column per neuron and one per concept."""

from collections.abc import Callable

import torch
from torch import Tensor

from lightning_dissect.similarity.live import live_neurons


def inner_products(
    activations: Tensor, concept_matrix: Tensor, prepare: Callable[[Tensor], Tensor], max_bytes: int
) -> Tensor:
    """Return the inner products of prepared columns, in float64.

    Args:
        activations: Pooled activations, shape ``(images, neurons)``.
        concept_matrix: Image-text similarities, shape ``(images, concepts)``.
        prepare: Turns float64 columns into the columns that are multiplied; each column by itself.
        max_bytes: Most bytes that a float64 copy of some concepts may take.

    Returns:
        Shape ``(neurons, concepts)``; NaN for neurons that are constant or not finite.

    """
    neurons = prepare(activations.to(torch.float64).where(live_neurons(activations), torch.nan))
    columns = max(1, max_bytes // (8 * len(concept_matrix)))
    blocks = torch.split(concept_matrix, columns, dim=1)
    return torch.cat([neurons.T @ prepare(block.to(torch.float64)) for block in blocks], dim=1)
