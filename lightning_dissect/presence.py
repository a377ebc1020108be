"""Concept presence: from image-text similarities to the probability that a concept is in an image."""

import numpy as np
import torch
from torch import Tensor

from lightning_dissect.threads import numpy_reads, run_in_threads

SHARPNESS = 2.0
"""How many nats the most present concept of a typical image lies above the average concept.

Output units of known meaning, dense and sparse, correlate best with their own concept near 2; the optimum is flat.
"""

FEW_IMAGES = 4
"""Images whose logits stay in a processor's cache between one operation and the next."""


def presence_temperature(concept_matrix: Tensor) -> float:
    """Return the factor on a concept matrix before the softmax over concepts, from the matrix alone.

    The rule: in the mean over images, the best concept lies `SHARPNESS` nats above the average concept. So presence
    does not change when an encoder's similarities are scaled or shifted, and no encoder needs a constant of its own.

    Args:
        concept_matrix: Image-text similarities, shape ``(images, concepts)``.

    Raises:
        ValueError:
            If the matrix does not tell concepts apart: it has one concept or its columns are equal.

    Example:
        >>> presence_temperature(torch.tensor([[0.25, 0.75], [0.75, 0.25]]))
        8.0

    """
    best = concept_matrix.amax(dim=1).to(torch.float64)
    average = torch.cat([rows.mean(dim=1, dtype=torch.float64) for rows in torch.split(concept_matrix, 64)])
    lead = float((best - average).mean())
    if not lead > torch.finfo(torch.float32).eps * float(best.abs().max()):
        raise ValueError(
            f"Expected `concept_matrix` to tell its {concept_matrix.shape[1]} concepts apart but got a best concept "
            f"that lies {lead} above the average. Use at least two different concepts and check the encoder."
        )
    return SHARPNESS / lead


class ConceptPresence:
    """Softmax over concepts of a concept matrix, computed a few columns at a time.

    The matrix of all probabilities is never whole: only its normalisers are kept, as ``normaliser`` of shape
    ``(images, 1)``, so that a probability is ``exp(temperature * concept_matrix - normaliser)``.

    Args:
        concept_matrix: Image-text similarities, shape ``(images, concepts)``, any floating dtype.
        temperature: Factor on the matrix before the softmax; ``None`` asks `presence_temperature`.
        max_bytes: Most bytes that a float64 copy of some images may take.

    Example:
        >>> presence = ConceptPresence(torch.tensor([[0.1, 0.4], [0.5, 0.2]]), temperature=10.0)
        >>> presence.columns(slice(0, 1))
        tensor([[0.0474],
                [0.9526]], dtype=torch.float64)

    """

    def __init__(self, concept_matrix: Tensor, temperature: float | None = None, max_bytes: int = 2**26) -> None:
        self.concept_matrix = concept_matrix
        self.temperature = presence_temperature(concept_matrix) if temperature is None else temperature
        images = max(1, max_bytes // (8 * concept_matrix.shape[1]))
        if numpy_reads(concept_matrix):
            self.normaliser = self._normaliser_by_numpy(images)
        else:
            blocks = torch.split(concept_matrix, images)
            self.normaliser = torch.cat([self._logits(block).logsumexp(dim=1, keepdim=True) for block in blocks])

    def columns(self, concepts: slice | Tensor, images: slice | Tensor = slice(None)) -> Tensor:
        """Return the presence of some concepts.

        Args:
            concepts: Which concepts, as a slice or as indices of shape ``(chosen,)``.
            images: Which images, in the same way; all of them by default.

        Returns:
            Probabilities in float64, shape ``(images, chosen)``.

        """
        return (self._logits(self.concept_matrix[:, concepts][images]) - self.normaliser[images]).exp_()

    def _logits(self, values: Tensor) -> Tensor:
        return self.temperature * values.to(torch.float64)

    def _normaliser_by_numpy(self, most_images: int) -> Tensor:
        matrix = self.concept_matrix.detach().numpy()
        normaliser = np.empty((len(matrix), 1))

        def normalise(block: slice) -> None:
            logits = np.multiply(matrix[block], self.temperature, dtype=np.float64)
            peak = logits.max(axis=1, keepdims=True)
            logits -= peak
            np.exp(logits, out=logits).sum(axis=1, keepdims=True, out=normaliser[block])
            normaliser[block] = peak + np.log(normaliser[block])

        run_in_threads(normalise, len(matrix), min(FEW_IMAGES, most_images))
        return torch.from_numpy(normaliser)
