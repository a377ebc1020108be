"""CLIP-Dissect labelling: from activations and a concept matrix to one record per neuron."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_dissect.checks import check_positive, check_score_inputs
from lightning_dissect.metrics import PearsonCorrelation
from lightning_dissect.presence import ConceptPresence
from lightning_dissect.similarity import SIMILARITIES, Similarity, finite_neurons, live_neurons
from lightning_dissect.types import NeuronLabel, NeuronStatus, ScoredConcept, TopImage


@dataclass(frozen=True)
class CLIPDissect:
    """Gives every neuron of a layer the concepts that a similarity finds most like it.

    Each candidate carries the similarity that ranked it and, as its quality, the Pearson correlation of the neuron
    with the concept's presence. Neurons that are constant or not finite are counted by their status; they are kept out
    of the similarity, so that they cannot move the labels of others.

    Args:
        similarity: What ranks the concepts, by name or as an object.
        candidates: Concepts kept per neuron: the label and its runner-ups.
        max_bytes: Most bytes that an intermediate tensor of presence may take.

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
        concept_matrix: Tensor,
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
        _check(activations, concept_matrix, concepts, top_values, top_ids)
        live = live_neurons(activations)
        found: dict[int, tuple[ScoredConcept, ...]] = {}
        if live.any():
            neurons = live.nonzero().flatten().tolist()
            found = dict(zip(neurons, self._candidates(activations[:, live], concept_matrix, concepts), strict=True))
        finite = finite_neurons(activations).tolist()
        images = zip(top_ids.tolist(), top_values.tolist(), strict=True)
        return tuple(
            NeuronLabel(
                layer=layer,
                unit=unit,
                status=_status(unit in found, finite[unit]),
                candidates=found.get(unit, ()),
                top_images=tuple(map(TopImage, ids, values)),
            )
            for unit, (ids, values) in enumerate(images)
        )

    def _candidates(
        self, activations: Tensor, concept_matrix: Tensor, concepts: Sequence[str]
    ) -> list[tuple[ScoredConcept, ...]]:
        """Return the candidates of live neurons, best first."""
        presence = ConceptPresence(concept_matrix, max_bytes=self.max_bytes)
        scores = SIMILARITIES.resolve(self.similarity).score(activations, concept_matrix)
        expected = (activations.shape[1], concept_matrix.shape[1])
        if tuple(scores.shape) != expected:
            raise ValueError(
                f"Expected `similarity` to return scores of shape {expected} (neurons, concepts) "
                f"but got {tuple(scores.shape)} from {self.similarity!r}."
            )
        found = []
        neurons = max(1, self.max_bytes // (8 * max(expected[1], len(activations))))
        for part, part_scores in zip(
            torch.split(activations, neurons, dim=1), torch.split(scores, neurons), strict=True
        ):
            values, chosen = _best(part_scores, self.candidates)
            qualities = [PearsonCorrelation().score_pairs(part, presence.columns(column)) for column in chosen.T]
            rows = zip(chosen.tolist(), values.tolist(), torch.stack(qualities, dim=1).tolist(), strict=True)
            found += [
                tuple(
                    ScoredConcept(concepts[index], score, quality)
                    for index, score, quality in zip(*row, strict=True)
                    if score > -torch.inf
                )
                for row in rows
            ]
        return found


def _best(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the highest scores and their concepts, shape ``(neurons, count)``; lower indices win ties, NaN loses."""
    remaining = scores.where(~scores.isnan(), -torch.inf)
    values, indices = [], []
    for _ in range(min(count, scores.shape[1])):
        value, index = remaining.max(dim=1)
        remaining.scatter_(1, index[:, None], -torch.inf)
        values.append(value)
        indices.append(index)
    return torch.stack(values, dim=1), torch.stack(indices, dim=1)


def _status(live: bool, finite: bool) -> NeuronStatus:
    if live:
        return "labelled"
    return "dead" if finite else "non_finite"


def _check(
    activations: Tensor, concept_matrix: Tensor, concepts: Sequence[str], top_values: Tensor, top_ids: Tensor
) -> None:
    check_score_inputs(activations, concept_matrix)
    if len(concepts) != concept_matrix.shape[1]:
        raise ValueError(
            "Expected `concepts` to name every column of `concept_matrix` "
            f"but got {len(concepts)} names for {concept_matrix.shape[1]} columns."
        )
    if not torch.stack(torch.aminmax(concept_matrix)).isfinite().all():
        raise ValueError(
            "Expected `concept_matrix` to be finite but got NaN or infinite values. Check the encoder's embeddings."
        )
    if top_values.ndim != 2 or top_values.shape != top_ids.shape or len(top_ids) != activations.shape[1]:
        raise ValueError(
            f"Expected `top_values` and `top_ids` to have shape ({activations.shape[1]}, top) "
            f"but got {tuple(top_values.shape)} and {tuple(top_ids.shape)}."
        )
