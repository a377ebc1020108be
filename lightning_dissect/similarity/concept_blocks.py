"""Ranges of concepts and what is scored against them."""

from collections.abc import Iterator

import torch
from torch import Tensor

from lightning_dissect.checks import check_positive
from lightning_dissect.concept_matrix import ConceptMatrix


def score_blocks(concept_matrix: ConceptMatrix, neurons: int, width: int) -> Iterator[tuple[slice, Tensor]]:
    """Yield consecutive ranges of all concepts and room for their scores, which all ranges share.

    Args:
        concept_matrix: Image-text similarities, shape ``(images, concepts)``.
        neurons: Number of neurons.
        width: Concepts of a range; the last range may be shorter.

    Yields:
        A range and a tensor to fill, shape ``(neurons, concepts of the range)``, float64.

    Raises:
        ValueError:
            If ``width`` is not positive.

    Example:
        >>> [(block, tuple(room.shape)) for block, room in score_blocks(ConceptMatrix.of(torch.ones(2, 3)), 4, width=2)]
        [(slice(0, 2, None), (4, 2)), (slice(2, 3, None), (4, 1))]

    """
    check_positive("width", width)
    concepts = concept_matrix.shape[1]
    room = torch.empty(neurons * min(width, concepts), dtype=torch.float64, device=concept_matrix.device)
    for start in range(0, concepts, width):
        block = slice(start, min(start + width, concepts))
        shape = neurons, block.stop - block.start
        yield block, room[: shape[0] * shape[1]].view(shape)


def check_activations(activations: Tensor, concept_matrix: ConceptMatrix) -> None:
    """Check that activations and a concept matrix describe the same images; there may be no neuron.

    Args:
        activations: Pooled activations, shape ``(images, neurons)``.
        concept_matrix: Image-text similarities, shape ``(images, concepts)``.

    Raises:
        ValueError:
            If the activations are not 2-D, there is no image or no concept, or the numbers of images differ.

    """
    if activations.ndim != 2 or not len(activations):
        raise ValueError(
            f"Expected `activations` to be a 2-D tensor of images and neurons but got shape {tuple(activations.shape)}."
        )
    if not all(concept_matrix.shape):
        raise ValueError(
            f"Expected `concept_matrix` to hold at least one image and concept but got shape {concept_matrix.shape}."
        )
    if len(activations) != concept_matrix.shape[0]:
        raise ValueError(
            "Expected `activations` and `concept_matrix` to have the same number of images "
            f"but got {len(activations)} and {concept_matrix.shape[0]}."
        )
