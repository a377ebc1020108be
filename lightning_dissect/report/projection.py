"""Neurons as points: near each other where concepts describe them alike."""

from collections.abc import Mapping, Sequence

import numpy as np

from lightning_dissect.checks import check_positive
from lightning_dissect.types import Embedding, NeuronLabel, ScoredConcept

MIN_DIMENSIONS = 3
"""Dimensions that tools which draw points in space need."""

_OVERSAMPLING, _ITERATIONS = 10, 6


def neuron_vectors(
    neurons: Sequence[NeuronLabel], embeddings: Mapping[str, Embedding], max_dimensions: int = 50
) -> Embedding:
    r"""Return a vector per neuron: the mean direction of its candidates, weighted by their quality, reduced by PCA.

    .. math:: v_n = \frac{\sum_k \max(q_{nk}, 0) \, e_k}{\lVert \sum_k \max(q_{nk}, 0) \, e_k \rVert}

    with the quality :math:`q_{nk}` of candidate :math:`k` and its direction :math:`e_k`. The direction of the label
    alone would put all neurons of one label on one point, and qualities alone would put "dog" as far from "puppy" as
    from "car": this way neurons of one label are told apart by their runner-ups, and lie near those of related labels.
    The principal components that carry least are left out, so that distances stay as they are as far as they can.

    Args:
        neurons: Neurons that each have a candidate.
        embeddings: Direction of each concept, shape ``(dimensions,)``; a concept without one is a direction of its own.
        max_dimensions: Most dimensions returned.

    Returns:
        Shape ``(neurons, dimensions)``, float32, the means taken away; filled up with zeros to at least three
        dimensions.

    Raises:
        ValueError:
            If ``max_dimensions`` is not positive or a neuron has no candidate.

    Example:
        >>> def neuron(*labels):
        ...     return NeuronLabel("fc", 0, "labelled", tuple(ScoredConcept(label, 0.5, 0.4) for label in labels))
        >>> vectors = neuron_vectors([neuron("cat", "dog"), neuron("cat", "wolf"), neuron("sky")], embeddings={})
        >>> np.linalg.norm(vectors[0] - vectors[1]) < np.linalg.norm(vectors[0] - vectors[2])
        np.True_

    """
    check_positive("max_dimensions", max_dimensions)
    if not all(neuron.candidates for neuron in neurons):
        raise ValueError("Expected `neurons` to have a candidate each but got one without.")
    places: dict[str, int] = {}
    named = [[places.setdefault(item.concept, len(places)) for item in neuron.candidates] for neuron in neurons]
    table = np.zeros((len(neurons), len(places)))
    for row, (columns, neuron) in enumerate(zip(named, neurons, strict=True)):
        table[row, columns] = _weights(neuron.candidates)
    known = [name for name in places if name in embeddings]
    vectors = table[:, [place for name, place in places.items() if name not in embeddings]]
    if known:
        directions = np.stack([embeddings[name] for name in known]).astype(np.float64)
        vectors = np.hstack([table[:, [places[name] for name in known]] @ directions, vectors])
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return _principal(vectors / np.where(norms > 0, norms, 1), max_dimensions)


def _weights(candidates: Sequence[ScoredConcept]) -> list[float]:
    """Return the qualities above 0; the best candidate alone counts where there is none."""
    weights = [item.quality if item.quality > 0 else 0.0 for item in candidates]
    return weights if any(weights) else [1.0, *weights[1:]]


def _principal(vectors: np.ndarray[tuple[int, int], np.dtype[np.float64]], count: int) -> Embedding:
    """Return points by their principal components, which a few steps of subspace iteration find closely enough.

    A full decomposition of a thousand points takes many times as long on a machine whose cores train a network.
    """
    if not len(vectors):
        return np.zeros((0, MIN_DIMENSIONS), np.float32)
    centred = vectors - vectors.mean(axis=0)
    basis = np.random.default_rng(0).standard_normal((centred.shape[1], min(centred.shape[1], count + _OVERSAMPLING)))
    for _ in range(_ITERATIONS):
        basis, _triangle = np.linalg.qr(centred.T @ (centred @ basis))
    points = centred @ basis
    _values, axes = np.linalg.eigh(points.T @ points)
    points = (points @ axes[:, ::-1][:, :count]).astype(np.float32)
    return np.pad(points, ((0, 0), (0, max(0, MIN_DIMENSIONS - points.shape[1]))))
