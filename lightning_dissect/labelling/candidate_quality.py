"""Pearson correlation of neurons with the presence of the few concepts chosen for each."""

import torch
from torch import Tensor

from lightning_dissect.presence import PresenceSource
from lightning_dissect.standardise import standardised_columns

CACHED_BYTES = 2**23
"""Columns of this size stay in a processor's cache from one operation to the next."""


def candidate_quality(activations: Tensor, presence: PresenceSource, chosen: Tensor, max_bytes: int) -> Tensor:
    """Return how well each neuron follows the presence of each of its candidates.

    The presence of a concept is computed once for all neurons of a block that chose it.

    Args:
        activations: Pooled activations, shape ``(images, neurons)``.
        presence: Presence of the concepts in the images.
        chosen: Concepts of each neuron, shape ``(neurons, candidates)``, int64; -1 where there is none.
        max_bytes: Most bytes that an intermediate tensor may take.

    Returns:
        Correlations, shape ``(neurons, candidates)``, float64; NaN where undefined or nothing was chosen.

    Example:
        >>> from lightning_dissect.presence import ConceptPresence
        >>> presence = ConceptPresence(torch.tensor([[0.1, 0.9], [0.9, 0.1], [0.9, 0.1]]))
        >>> candidate_quality(torch.tensor([[0.0], [1.0], [1.0]]), presence, torch.tensor([[0, -1]]), 2**20)
        tensor([[1., nan]], dtype=torch.float64)

    """
    quality = torch.full(chosen.shape, torch.nan, dtype=torch.float64)
    width = max(1, max_bytes // (8 * len(activations)))
    for start in range(0, len(chosen), width):
        neurons = slice(start, start + width)
        rows = activations[:, neurons].T.contiguous()
        quality[neurons] = _of_block(standardised_columns(rows.T).T, presence, chosen[neurons])
    return quality.clamp_(-1, 1)


def _of_block(rows: Tensor, presence: PresenceSource, chosen: Tensor) -> Tensor:
    """Multiply standardised rows, one per neuron, with the columns of their candidates."""
    quality = torch.full((chosen.numel(),), torch.nan, dtype=torch.float64)
    places = chosen.flatten().argsort(stable=True)
    places = places[(chosen < 0).sum() :]
    concepts = chosen.flatten()[places]
    neurons = places // chosen.shape[1]
    for part in torch.split(torch.arange(len(places)), max(1, CACHED_BYTES // (8 * rows.shape[1]))):
        is_first = concepts[part].diff(prepend=concepts[part[:1]] - 1) != 0
        columns = standardised_columns(presence.columns(concepts[part][is_first].to(rows.device)))
        pairs = (is_first.cumsum(0) - 1).to(rows.device)
        products = torch.linalg.vecdot(rows[neurons[part].to(rows.device)], columns.T[pairs])
        quality[places[part]] = products.cpu()
    return quality.reshape(chosen.shape)
