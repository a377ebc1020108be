"""Presence as a share: one concept against all others, by a softmax over the concepts of an image."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from lightning_dissect.concept_matrix import ConceptMatrix
from lightning_dissect.presence.base import ALL_IMAGES
from lightning_dissect.threads import numpy_reads, run_in_threads

SHARPNESS = 2.0
"""How many nats the most present concept of a typical image lies above the average concept.

Output units of known meaning, dense and sparse, correlate best with their own concept near 2; the optimum is flat.
"""

FEW_IMAGES = 4
"""Images whose logits stay in a processor's cache between one operation and the next."""

MAX_BYTES = 2**26


def presence_lead(
    concept_matrix: Tensor | ConceptMatrix, images: slice = ALL_IMAGES, max_bytes: int = MAX_BYTES
) -> Tensor:
    """Return by how much the best concept of each image leads, and how similar it is.

    Parts of the images can be computed apart, by several processes for example: `presence_temperature` takes the
    leads of all images one after the other.

    Args:
        concept_matrix: Image-text similarities, shape ``(images, concepts)``.
        images: Which images.
        max_bytes: Most bytes that the similarities of some images may take.

    Returns:
        Best minus average similarity and best similarity of each image, shape ``(chosen, 2)``, float64.

    Example:
        >>> presence_lead(torch.tensor([[0.25, 0.75], [0.75, 0.25]]), slice(0, 1))
        tensor([[0.2500, 0.7500]], dtype=torch.float64)

    """
    matrix = ConceptMatrix.of(concept_matrix)
    leads = []
    for _, values in _rows(matrix, images, max_bytes):
        best = values.amax(dim=1).to(torch.float64)
        average = torch.cat([rows.mean(dim=1, dtype=torch.float64) for rows in torch.split(values, 64)])
        leads.append(torch.stack([best - average, best], dim=1))
    return torch.cat(leads) if leads else torch.empty(0, 2, dtype=torch.float64, device=matrix.device)


def presence_temperature(concept_matrix: Tensor | ConceptMatrix, lead: Tensor | None = None) -> float:
    """Return the factor on a concept matrix before the softmax over concepts, from the matrix alone.

    The rule: in the mean over images, the best concept lies `SHARPNESS` nats above the average concept. So presence
    does not change when an encoder's similarities are scaled or shifted, and no encoder needs a constant of its own.

    Args:
        concept_matrix: Image-text similarities, shape ``(images, concepts)``.
        lead: What `presence_lead` returned for all images, if it is known already.

    Raises:
        ValueError:
            If the matrix does not tell concepts apart: it has one concept or its columns are equal.

    Example:
        >>> presence_temperature(torch.tensor([[0.25, 0.75], [0.75, 0.25]]))
        8.0

    """
    leads, best = (presence_lead(concept_matrix) if lead is None else lead).unbind(dim=1)
    mean_lead = float(leads.mean())
    if not mean_lead > torch.finfo(torch.float32).eps * float(best.abs().max()):
        raise ValueError(
            f"Expected `concept_matrix` to tell its {concept_matrix.shape[1]} concepts apart but got a best concept "
            f"that lies {mean_lead} above the average. Use at least two different concepts and check the encoder."
        )
    return SHARPNESS / mean_lead


def presence_normaliser(
    concept_matrix: Tensor | ConceptMatrix,
    temperature: float,
    images: slice = ALL_IMAGES,
    max_bytes: int = MAX_BYTES,
) -> Tensor:
    """Return the logarithm of the sum over concepts that makes probabilities of an image's similarities.

    Parts of the images can be computed apart, by several processes for example, and put one after the other.

    Args:
        concept_matrix: Image-text similarities, shape ``(images, concepts)``.
        temperature: Factor on the matrix before the softmax.
        images: Which images.
        max_bytes: Most bytes that the similarities of some images may take.

    Returns:
        Shape ``(chosen, 1)``, float64.

    Example:
        >>> presence_normaliser(torch.zeros(3, 4), temperature=1.0, images=slice(0, 1)).exp()
        tensor([[4.]], dtype=torch.float64)

    """
    matrix = ConceptMatrix.of(concept_matrix)
    count = len(range(*images.indices(matrix.shape[0])))
    normaliser = torch.empty(count, 1, dtype=torch.float64, device=matrix.device)
    for place, values in _rows(matrix, images, max_bytes):
        if numpy_reads(values):
            _normalise_by_numpy(values, temperature, normaliser[place], max_bytes)
        else:
            normaliser[place] = (temperature * values.to(torch.float64)).logsumexp(dim=1, keepdim=True)
    return normaliser


class ConceptPresence:
    """Softmax over concepts of a concept matrix, computed a few columns at a time.

    The matrix of all probabilities is never whole: only its normalisers are kept, as ``normaliser`` of shape
    ``(images, 1)``, so that a probability is ``exp(temperature * concept_matrix - normaliser)``.

    Args:
        concept_matrix: Image-text similarities, shape ``(images, concepts)``, any floating dtype.
        temperature: Factor on the matrix before the softmax; ``None`` asks `presence_temperature`.
        max_bytes: Most bytes that the similarities of some images may take.
        normaliser: What `presence_normaliser` returned for all images, if it is known already.

    Example:
        >>> presence = ConceptPresence(torch.tensor([[0.1, 0.4], [0.5, 0.2]]), temperature=10.0)
        >>> presence.columns(slice(0, 1))
        tensor([[0.0474],
                [0.9526]], dtype=torch.float64)

    """

    def __init__(
        self,
        concept_matrix: Tensor | ConceptMatrix,
        temperature: float | None = None,
        max_bytes: int = MAX_BYTES,
        normaliser: Tensor | None = None,
    ) -> None:
        self.concept_matrix = ConceptMatrix.of(concept_matrix)
        if temperature is None:
            temperature = presence_temperature(concept_matrix, presence_lead(concept_matrix, max_bytes=max_bytes))
        if normaliser is None:
            normaliser = presence_normaliser(concept_matrix, temperature, max_bytes=max_bytes)
        elif len(normaliser) != self.concept_matrix.shape[0]:
            raise ValueError(
                f"Expected `normaliser` to have one value for each of {self.concept_matrix.shape[0]} images "
                f"but got {len(normaliser)}."
            )
        self.temperature = temperature
        self.normaliser = normaliser

    @property
    def shape(self) -> tuple[int, int]:
        """Number of images and of concepts."""
        return self.concept_matrix.shape

    def columns(self, concepts: slice | Tensor, images: slice | Tensor = ALL_IMAGES) -> Tensor:
        """Return the presence of some concepts; see `PresenceSource.columns`."""
        logits = self.concept_matrix.columns(concepts, images).to(torch.float64, copy=True).mul_(self.temperature)
        return logits.sub_(self.normaliser[images]).exp_()


def _rows(matrix: ConceptMatrix, images: slice, max_bytes: int) -> Iterator[tuple[slice, Tensor]]:
    """Yield the similarities of some images at a time and their place among the chosen ones."""
    chosen = range(*images.indices(matrix.shape[0]))
    count = max(1, max_bytes // (8 * matrix.shape[1]))
    for start in range(0, len(chosen), count):
        part = chosen[start : start + count]
        yield slice(start, start + len(part)), matrix.rows(slice(part.start, part.stop, part.step))


def _normalise_by_numpy(values: Tensor, temperature: float, normaliser: Tensor, max_bytes: int) -> None:
    """Fill in the normalisers of images."""
    matrix, found = values.detach().numpy(), normaliser.numpy()
    few = max(1, min(FEW_IMAGES, max_bytes // (8 * matrix.shape[1])))

    def normalise(block: slice) -> None:
        logits = np.multiply(matrix[block], temperature, dtype=np.float64)
        peak = logits.max(axis=1, keepdims=True)
        logits -= peak
        found[block] = peak + np.log(np.exp(logits, out=logits).sum(axis=1, keepdims=True))

    run_in_threads(normalise, len(matrix), few)
