"""The labels of some neurons as tensors: what travels between processes."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from lightning_dissect.types import STATUSES, NeuronLabel, ScoredConcept, TopImage


@dataclass(frozen=True)
class LabelTable:
    """One row per neuron, a few dozen bytes each.

    Args:
        status: Index into `types.STATUSES`, shape ``(neurons,)``, uint8.
        concepts: Candidates, best first, shape ``(neurons, candidates)``, int64; -1 where there is none.
        scores: Similarity of the candidates, same shape, float64.
        qualities: Quality of the candidates, same shape, float64.
        top_ids: Sample ids of the most activating images, shape ``(neurons, top)``, int64.
        top_values: Activations on these images, same shape, float32.

    """

    status: Tensor
    concepts: Tensor
    scores: Tensor
    qualities: Tensor
    top_ids: Tensor
    top_values: Tensor

    @classmethod
    def cat(cls, tables: Sequence["LabelTable"]) -> "LabelTable":
        """Return the tables of consecutive neurons as one.

        Args:
            tables: At least one; tables without neurons count for nothing, whatever their other sizes.

        """
        filled = [table for table in tables if len(table.status)] or tables[:1]
        return cls(*(torch.cat([getattr(table, field.name) for table in filled]) for field in fields(cls)))

    def records(self, layer: str, concepts: Sequence[str]) -> tuple[NeuronLabel, ...]:
        """Return the rows as records.

        Args:
            layer: Full module name of the layer.
            concepts: Name of each concept.

        """
        columns = (getattr(self, field.name).tolist() for field in fields(self))
        return tuple(
            NeuronLabel(
                layer=layer,
                unit=unit,
                status=STATUSES[status],
                candidates=tuple(
                    ScoredConcept(concepts[concept], score, quality)
                    for concept, score, quality in zip(chosen, scores, qualities, strict=True)
                    if concept >= 0
                ),
                top_images=tuple(map(TopImage, top_ids, top_values)),
            )
            for unit, (status, chosen, scores, qualities, top_ids, top_values) in enumerate(zip(*columns, strict=True))
        )
