"""Concept presence: from image-text similarities to the probability that a concept is in an image."""

import torch
from torch import Tensor

SHARPNESS = 2.0
"""How many nats the most present concept of a typical image lies above the average concept.

Output units of known meaning, dense and sparse, correlate best with their own concept near 2; the optimum is flat.
"""


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
    lead = float((best - concept_matrix.mean(dim=1, dtype=torch.float64)).mean())
    if not lead > torch.finfo(torch.float32).eps * float(best.abs().max()):
        raise ValueError(
            f"Expected `concept_matrix` to tell its {concept_matrix.shape[1]} concepts apart but got a best concept "
            f"that lies {lead} above the average. Use at least two different concepts and check the encoder."
        )
    return SHARPNESS / lead


class ConceptPresence:
    """Softmax over concepts of a concept matrix, computed a few columns at a time.

    The matrix of all probabilities is never whole: only its normalisers are kept.

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
        blocks = torch.split(concept_matrix, images)
        self._normaliser = torch.cat([self._logits(block).logsumexp(dim=1, keepdim=True) for block in blocks])

    def columns(self, concepts: slice | Tensor) -> Tensor:
        """Return the presence of some concepts.

        Args:
            concepts: Which concepts, as a slice or as indices of shape ``(chosen,)``.

        Returns:
            Probabilities in float64, shape ``(images, chosen)``.

        """
        return (self._logits(self.concept_matrix[:, concepts]) - self._normaliser).exp_()

    def _logits(self, values: Tensor) -> Tensor:
        return self.temperature * values.to(torch.float64)
