"""Directions of concepts, those that a history knows."""

from collections.abc import Mapping, Sequence

import numpy as np

from lightning_dissect.array_archive import Array


def unit_vectors(names: Sequence[str], embeddings: Mapping[str, Array]) -> Array:
    """Return the directions of concepts as rows of norm 1.

    Args:
        names: The concepts.
        embeddings: Vectors by concept, shape ``(dimensions,)``, see `DissectionHistory.embeddings`.

    Returns:
        Shape ``(names, dimensions)``, float32; NaN where a vector is missing, is zero or has other dimensions than the
        first that is known.

    Example:
        >>> unit_vectors(["dog", "cat"], {"dog": np.array([3.0, 4.0])})
        array([[0.6, 0.8],
               [nan, nan]], dtype=float32)

    """
    size = next((len(embeddings[name]) for name in names if name in embeddings), 1)
    unknown = np.full(size, np.nan, np.float32)
    found = [embeddings.get(name, unknown) for name in names]
    table = np.array([vector if len(vector) == size else unknown for vector in found], np.float32)
    table = table.reshape(len(names), size)
    norms = np.linalg.norm(table, axis=1, keepdims=True)
    directions: Array = table / np.where(norms > 0, norms, np.nan)
    return directions
