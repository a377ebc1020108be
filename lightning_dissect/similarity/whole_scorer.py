"""Any similarity as a scorer, by way of the whole concept matrix."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from lightning_dissect.concept_matrix import ConceptMatrix
from lightning_dissect.similarity.base import PreparableSimilarity, Scorer, Similarity, identity
from lightning_dissect.similarity.concept_blocks import check_activations, score_blocks
from lightning_dissect.similarity.live import live_neurons


class WholeScorer:
    """Scores live neurons against all concepts at once and hands the scores out in blocks.

    Args:
        similarity: Any similarity.
        concept_matrix: Image-text similarities, shape ``(images, concepts)``, of which the whole is made.

    Example:
        >>> class Dot:
        ...     def score(self, activations: Tensor, concept_matrix: Tensor) -> Tensor:
        ...         return activations.T @ concept_matrix
        >>> scorer = WholeScorer(Dot(), ConceptMatrix.of(torch.eye(2)))
        >>> next(scorer.blocks(torch.tensor([[1.0, 7.0], [2.0, 7.0]]), width=1))
        (slice(0, 1, None), tensor([[1.],
                [nan]], dtype=torch.float64))

    """

    def __init__(self, similarity: Similarity, concept_matrix: ConceptMatrix) -> None:
        self.similarity = similarity
        self.concept_matrix = concept_matrix

    def blocks(
        self,
        activations: Tensor,
        width: int,
        over_processes: Callable[[Tensor], Tensor] = identity,  # noqa: ARG002
    ) -> Iterator[tuple[slice, Tensor]]:
        """Yield ranges of concepts and their scores; see `Scorer.blocks`.

        Raises:
            ValueError:
                If the similarity does not return one score per live neuron and concept.

        """
        check_activations(activations, self.concept_matrix)
        live = live_neurons(activations)
        scores = self._live_scores(activations if live.all() else activations[:, live]) if live.any() else None
        for block, room in score_blocks(self.concept_matrix, len(live), width):
            room.fill_(torch.nan)
            if scores is not None:
                room[live] = scores[:, block].to(room)
            yield block, room

    def _live_scores(self, activations: Tensor) -> Tensor:
        scores = self.similarity.score(activations, self.concept_matrix.whole)
        expected = (activations.shape[1], self.concept_matrix.shape[1])
        if tuple(scores.shape) != expected:
            raise ValueError(
                f"Expected `similarity` to return scores of shape {expected} (neurons, concepts) "
                f"but got {tuple(scores.shape)} from {self.similarity!r}."
            )
        return scores


def prepare(similarity: Similarity, concept_matrix: Tensor | ConceptMatrix) -> Scorer:
    """Return what scores activations against one concept matrix, ready for many layers or epochs.

    Args:
        similarity: Any similarity, whether it can be prepared or not.
        concept_matrix: Image-text similarities, shape ``(images, concepts)``.

    Example:
        >>> from lightning_dissect.similarity import Cosine, score_all
        >>> score_all(prepare(Cosine(), torch.eye(3)), torch.eye(3)).argmax(dim=1)
        tensor([0, 1, 2])

    """
    if isinstance(similarity, PreparableSimilarity):
        return similarity.prepared(concept_matrix)
    return WholeScorer(similarity, ConceptMatrix.of(concept_matrix))
