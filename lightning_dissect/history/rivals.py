"""How far apart in meaning those concepts are between which a label may go to and fro."""

from collections.abc import Mapping

import numpy as np

from lightning_dissect.array_archive import Array
from lightning_dissect.history.directions import unit_vectors
from lightning_dissect.history.snapshot import Snapshot


def rival_distances(snapshot: Snapshot, embeddings: Mapping[str, Array]) -> Array:
    """Return the mean distance between two contenders of each neuron.

    That is how far a label moves, on the average, where other images choose another. A neuron with one contender has
    its best two candidates for rivals.

    Args:
        snapshot: A dissection.
        embeddings: Direction of concepts, see `DissectionHistory.embeddings`.

    Returns:
        1 minus the cosine, shape ``(neurons,)``; 0 for a neuron with one candidate, NaN for one with none and where a
        rival's embedding is not known.

    Example:
        >>> from lightning_dissect.types import DissectionReport, LayerDissection, NeuronLabel, ScoredConcept
        >>> candidates = (ScoredConcept("dog", 0.5, 0.4), ScoredConcept("puppy", 0.4, 0.4))
        >>> layer = LayerDissection("fc", (NeuronLabel("fc", 0, "labelled", candidates),))
        >>> snapshot = Snapshot.of(DissectionReport(0, 0, 0, (layer,), num_images=8))
        >>> rival_distances(snapshot, {"dog": np.array([1.0, 0.0]), "puppy": np.array([0.8, 0.6])}).round(6).tolist()
        [0.2]

    """
    directions = unit_vectors(snapshot.concepts, embeddings)
    rivals = snapshot.contenders & (snapshot.candidates >= 0)
    rivals[:, :1] = snapshot.candidates[:, :1] >= 0
    alone = rivals.sum(axis=1) == 1
    rivals[:, 1:2] |= alone[:, None] & (snapshot.candidates[:, 1:2] >= 0)
    total = np.zeros((len(snapshot), directions.shape[1]), np.float32)
    for chosen, places in zip(rivals.T, snapshot.candidates.T, strict=True):
        total[chosen] += directions[places[chosen]]
    count = rivals.sum(axis=1)
    pairs = np.where(count > 1, count * (count - 1), 1)
    distances = np.where(count > 1, 1 - (np.einsum("nd,nd->n", total, total) - count) / pairs, 0.0)
    found: Array = np.where(count > 0, np.clip(distances, 0, 2), np.nan)
    return found
