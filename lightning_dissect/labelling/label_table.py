"""The labels of some neurons as tensors: what travels between processes."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

from torch import Tensor

from lightning_dissect.neuron_table import NeuronTable
from lightning_dissect.types import STATUSES, NeuronLabel, ScoredConcept, TopImage


@dataclass(frozen=True)
class LabelTable(NeuronTable):
    """One row per neuron, a few dozen bytes each.

    Args:
        status: Index into `types.STATUSES`, shape ``(neurons,)``, uint8.
        concepts: Candidates, best first, shape ``(neurons, candidates)``, int64; -1 where there is none.
        scores: Similarity of the candidates, same shape, float64.
        qualities: Quality of the candidates, same shape, float64.
        top_ids: Sample ids of the most activating images, shape ``(neurons, top)``, int64.
        top_values: Activations on these images, same shape, float32.
        metrics: What each metric says of the label, shape ``(neurons, metrics)``, float64; NaN where undefined.
        undefined: Why it says nothing of a label, a place in `metrics.undefined.REASONS`, same shape, int8; else -1.

    """

    status: Tensor
    concepts: Tensor
    scores: Tensor
    qualities: Tensor
    top_ids: Tensor
    top_values: Tensor
    metrics: Tensor
    undefined: Tensor

    def records(self, layer: str, concepts: Sequence[str], metrics: Sequence[str] = ()) -> tuple[NeuronLabel, ...]:
        """Return the rows as records.

        Args:
            layer: Full module name of the layer.
            concepts: Name of each concept.
            metrics: Name of each metric.

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
                metrics=dict(zip(metrics, judged, strict=True)),
            )
            for unit, (status, chosen, scores, qualities, top_ids, top_values, judged, _) in enumerate(
                zip(*columns, strict=True)
            )
        )
