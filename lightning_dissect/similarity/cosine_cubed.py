"""Cosine of cubed activations and concept similarities."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_dissect.checks import check_positive
from lightning_dissect.concept_matrix import ConceptMatrix
from lightning_dissect.similarity.base import SIMILARITIES, identity, score_all
from lightning_dissect.similarity.concept_blocks import check_activations, score_blocks
from lightning_dissect.similarity.cubed_columns import cubed_columns
from lightning_dissect.similarity.live import live_neurons

EVEN_COLUMNS = 256
"""Concepts of which a multiple is multiplied fastest."""


@SIMILARITIES.register("cosine_cubed")
@dataclass(frozen=True)
class CosineCubed:
    r"""Cosine over images of centred and cubed columns, which gives the most active images most of the say.

    .. math::
        \text{score}(k, m) = \frac{\tilde a_k^\top \tilde P_m}
        {\max(\lVert \tilde a_k \rVert, \delta) \, \max(\lVert \tilde P_m \rVert, \delta)}, \qquad
        \tilde x = (x - \bar x)^3

    Independent of the other neurons in the call. The floor :math:`\delta` pulls concepts that hardly tell the images
    apart towards 0. Constant and non-finite neurons get NaN, concepts that are the same everywhere get 0. Columns are
    cubed and scaled in float64 and multiplied in float32, which leaves an error of about 1e-6.

    Args:
        min_norm: Floor :math:`\delta` of a column's norm.
        max_bytes: Most bytes that the cubes of some neurons and concepts may take.

    Raises:
        ValueError:
            If an argument is not positive.

    Example:
        >>> concept_matrix = torch.eye(4)
        >>> CosineCubed().score(concept_matrix, concept_matrix).argmax(dim=1)
        tensor([0, 1, 2, 3])

    References:
        Oikarinen and Weng, CLIP-Dissect, ICLR 2023, section 3.2. https://arxiv.org/abs/2204.10965

    """

    min_norm: float = 1e-3
    max_bytes: int = 2**27

    def __post_init__(self) -> None:
        for name in ("min_norm", "max_bytes"):
            check_positive(name, getattr(self, name))

    def score(self, activations: Tensor, concept_matrix: Tensor) -> Tensor:
        """Score neurons against concepts; see `Similarity.score`."""
        return score_all(self.prepared(concept_matrix), activations)

    def prepared(self, concept_matrix: Tensor | ConceptMatrix) -> "CubedConcepts":
        """Do nothing yet, for the cubes of all concepts would be too many; see `PreparableSimilarity.prepared`."""
        return CubedConcepts(self, ConceptMatrix.of(concept_matrix))


@dataclass(frozen=True)
class CubedConcepts:
    """`CosineCubed` for one concept matrix.

    Args:
        settings: The similarity.
        concept_matrix: Image-text similarities, shape ``(images, concepts)``.

    Example:
        >>> scorer = CubedConcepts(CosineCubed(), ConceptMatrix.of(torch.eye(4)))
        >>> next(scorer.blocks(torch.eye(4), width=4))[1].argmax(dim=1)
        tensor([0, 1, 2, 3])

    """

    settings: CosineCubed
    concept_matrix: ConceptMatrix

    def blocks(
        self,
        activations: Tensor,
        width: int,
        over_processes: Callable[[Tensor], Tensor] = identity,  # noqa: ARG002
    ) -> Iterator[tuple[slice, Tensor]]:
        """Yield ranges of concepts and their scores; see `Scorer.blocks`."""
        check_activations(activations, self.concept_matrix)
        live = live_neurons(activations)
        cubes = _Cubes(activations, self.settings)
        widest = min(cubes.columns_left, self.concept_matrix.shape[1])
        room = activations.new_empty(widest * len(activations), dtype=torch.float32)
        for block, scores in score_blocks(self.concept_matrix, len(live), width):
            for start in range(0, scores.shape[1], cubes.columns_left):
                part = slice(start, min(start + cubes.columns_left, scores.shape[1]))
                concepts = self.concept_matrix.columns(slice(block.start + part.start, block.start + part.stop))
                cubed = cubed_columns(concepts, self.settings.min_norm, room)
                for neurons, own in cubes.parts():
                    scores[neurons, part] = own.T @ cubed
            scores[~live] = torch.nan
            yield block, scores


class _Cubes:
    """Cubed activations, made once if they fit most of the memory.

    Args:
        activations: Shape ``(images, neurons)``.
        settings: The similarity.

    Attributes:
        columns_left: Concepts whose cubes fit beside them.

    """

    def __init__(self, activations: Tensor, settings: CosineCubed) -> None:
        self._activations, self._min_norm = activations, settings.min_norm
        most = settings.max_bytes // (4 * len(activations))
        neurons = activations.shape[1]
        self._all = cubed_columns(activations, settings.min_norm) if neurons <= most * 3 // 4 else None
        self._at_once = max(1, neurons if self._all is not None else most // 2)
        left = max(1, most - self._at_once)
        self.columns_left = left // EVEN_COLUMNS * EVEN_COLUMNS or left

    def parts(self) -> Iterator[tuple[slice, Tensor]]:
        """Give ranges of neurons and their cubes, shape ``(images, neurons)``."""
        for first in range(0, self._activations.shape[1], self._at_once):
            neurons = slice(first, first + self._at_once)
            if self._all is None:
                yield neurons, cubed_columns(self._activations[:, neurons], self._min_norm)
            else:
                yield neurons, self._all
