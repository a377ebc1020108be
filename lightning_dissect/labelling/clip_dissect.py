"""Labels in the manner of CLIP-Dissect: the most similar concepts of a vocabulary."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_dissect.checks import check_positive
from lightning_dissect.concept_matrix import ConceptMatrix
from lightning_dissect.labelling.candidate_quality import candidate_quality
from lightning_dissect.labelling.label_table import LabelTable
from lightning_dissect.presence import ConceptPresence, PresenceSource
from lightning_dissect.similarity import (
    SIMILARITIES,
    Scorer,
    Similarity,
    check_activations,
    find_best,
    finite_neurons,
    identity,
    live_neurons,
    prepare,
)
from lightning_dissect.types import STATUSES, NeuronLabel

FEWEST_CONCEPTS_AT_ONCE = 64


@dataclass(frozen=True)
class CLIPDissect:
    """Labels each neuron with the concepts that a similarity finds most like it.

    Each candidate carries the similarity that ranked it and, as its quality, the Pearson correlation of the neuron
    with the concept's presence. Neurons that are constant or not finite are counted by their status; they are kept out
    of the similarity, so that they cannot move the labels of others.

    Args:
        similarity: What ranks the concepts, by name or as an object.
        candidates: Concepts kept per neuron: the label and its runner-ups.
        max_bytes: Most bytes that an intermediate tensor may take.

    Raises:
        ValueError:
            If ``similarity`` is not registered or a number is not positive.

    Example:
        >>> activations = torch.tensor([[3.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
        >>> concept_matrix = torch.tensor([[0.3, 0.2], [0.2, 0.2], [0.1, 0.2]])
        >>> top_values, top_ids = torch.tensor([[3.0], [0.0]]), torch.tensor([[7], [7]])
        >>> neurons = CLIPDissect().label("fc", activations, concept_matrix, ["dog", "sky"], top_values, top_ids)
        >>> [(neuron.label, neuron.status, neuron.top_images[0].sample_id) for neuron in neurons]
        [('dog', 'labelled', 7), ('', 'dead', 7)]

    References:
        Oikarinen and Weng, CLIP-Dissect, ICLR 2023. https://arxiv.org/abs/2204.10965

    """

    similarity: str | Similarity = "correlation"
    candidates: int = 5
    max_bytes: int = 2**26

    def __post_init__(self) -> None:
        for name in ("candidates", "max_bytes"):
            check_positive(name, getattr(self, name))
        object.__setattr__(self, "similarity", SIMILARITIES.resolve(self.similarity))

    def label(  # noqa: PLR0917
        self,
        layer: str,
        activations: Tensor,
        concept_matrix: Tensor | ConceptMatrix,
        concepts: Sequence[str],
        top_values: Tensor,
        top_ids: Tensor,
    ) -> tuple[NeuronLabel, ...]:
        """Label the neurons of one layer.

        Args:
            layer: Full module name of the layer.
            activations: Pooled activations, shape ``(images, neurons)``.
            concept_matrix: Image-text similarities on the encoder's scale, shape ``(images, concepts)``.
            concepts: Name of each concept.
            top_values: Activations of each neuron's top images, most activating first, shape ``(neurons, top)``.
            top_ids: Sample ids of those images, shape ``(neurons, top)``.

        Returns:
            One record per neuron. Ties between concepts go to the one that comes first; a concept whose score is NaN
            is never a candidate.

        Raises:
            ValueError:
                If shapes or names do not fit, the concept matrix is not finite or does not tell concepts apart, or
                the similarity does not return one score per neuron and concept.

        """
        matrix = ConceptMatrix.of(concept_matrix)
        if len(concepts) != matrix.shape[1]:
            raise ValueError(
                "Expected `concepts` to name every column of `concept_matrix` "
                f"but got {len(concepts)} names for {matrix.shape[1]} columns."
            )
        if top_values.ndim != 2 or top_values.shape != top_ids.shape or len(top_ids) != activations.shape[1]:
            raise ValueError(
                f"Expected `top_values` and `top_ids` to have shape ({activations.shape[1]}, top) "
                f"but got {tuple(top_values.shape)} and {tuple(top_ids.shape)}."
            )
        return self.prepared(matrix).table(activations, top_values, top_ids).records(layer, concepts)

    def prepared(self, concept_matrix: ConceptMatrix, presence: PresenceSource | None = None) -> "PreparedLabelling":
        """Do what depends on the concept matrix alone, for many layers and epochs.

        Args:
            concept_matrix: Image-text similarities, shape ``(images, concepts)``. It must not change while the result
                is in use.
            presence: Presence of its concepts if it is known already.

        Raises:
            ValueError:
                If the concept matrix is not finite or does not tell concepts apart.

        """
        factors = (concept_matrix.image_factors, concept_matrix.concept_factors)
        for values in factors if concept_matrix.is_factored else (concept_matrix.whole,):
            if not torch.stack(torch.aminmax(values)).isfinite().all():
                raise ValueError(
                    "Expected `concept_matrix` to be finite but got NaN or infinite values. "
                    "Check the encoder's embeddings."
                )
        found = ConceptPresence(concept_matrix, max_bytes=self.max_bytes) if presence is None else presence
        scorer = prepare(SIMILARITIES.resolve(self.similarity), concept_matrix)
        return PreparedLabelling(self, concept_matrix, found, scorer)


@dataclass(frozen=True)
class PreparedLabelling:
    """Labels layer after layer against one concept matrix.

    Args:
        settings: How neurons are labelled.
        concept_matrix: Image-text similarities, shape ``(images, concepts)``.
        presence: Presence of the concepts.
        scorer: Scores of the similarity.

    """

    settings: CLIPDissect
    concept_matrix: ConceptMatrix
    presence: PresenceSource
    scorer: Scorer

    def table(
        self,
        activations: Tensor,
        top_values: Tensor,
        top_ids: Tensor,
        layer_size: int | None = None,
        over_processes: Callable[[Tensor], Tensor] = identity,
        *,
        with_quality: bool = True,
    ) -> LabelTable:
        """Label neurons of one layer, all of them or a process's share.

        Args:
            activations: Pooled activations, shape ``(images, neurons)``.
            top_values: Activations of each neuron's top images, shape ``(neurons, top)``.
            top_ids: Sample ids of those images, shape ``(neurons, top)``.
            layer_size: Neurons of the layer over all processes.
            over_processes: Sums exponentials over processes, see `Scorer.blocks`; all of them must then call this.
            with_quality: Whether the candidates' quality is measured, else NaN: for callers that measure it together
                with something else.

        Raises:
            ValueError:
                If shapes do not fit.

        """
        check_activations(activations, self.concept_matrix)
        live = live_neurons(activations)
        count, width = min(self.settings.candidates, self.concept_matrix.shape[1]), self._width(layer_size or len(live))
        best = find_best(self.scorer, activations, count, width, over_processes)
        live = live.cpu()
        status = torch.full(live.shape, STATUSES.index("dead"), dtype=torch.uint8)
        status[live] = STATUSES.index("labelled")
        status[~finite_neurons(activations).cpu()] = STATUSES.index("non_finite")
        scores = best.values.where(live[:, None], torch.nan)
        concepts = best.concepts.where(live[:, None], -1)
        quality = torch.full_like(scores, torch.nan)
        if with_quality:
            quality = candidate_quality(activations, self.presence, concepts, self.settings.max_bytes)
        unjudged = (scores.new_empty(len(live), 0), status.new_empty(len(live), 0, dtype=torch.int8))
        return LabelTable(status, concepts, scores, quality, top_ids.cpu(), top_values.cpu(), *unjudged)

    def _width(self, neurons: int) -> int:
        """Return how many concepts are scored at once, the same on processes with different shares of neurons."""
        groups = self.settings.max_bytes // (8 * max(1, neurons) * FEWEST_CONCEPTS_AT_ONCE)
        return FEWEST_CONCEPTS_AT_ONCE * max(1, groups)
