"""How specific the labels of some neurons are, as tensors: what travels between processes."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import get_args

import torch
from torch import Tensor

from lightning_dissect.neuron_table import NeuronTable
from lightning_dissect.types import LabelSpecificity, Relation, Relative, Specificity

RELATIONS: tuple[Relation, ...] = get_args(Relation)
VERDICTS: tuple[Specificity, ...] = get_args(Specificity)


@dataclass(frozen=True)
class SpecificityTable(NeuronTable):
    """One row per neuron, some hundred bytes each. Places are those of the hierarchy, -1 where there is none.

    Args:
        labels: Place of the label, shape ``(neurons,)``, int64.
        verdicts: Index into `VERDICTS`, shape ``(neurons,)``, uint8.
        correlations: Correlation with the label's presence, shape ``(neurons,)``, float64.
        relatives: Place of the best of each of `RELATIONS`, shape ``(neurons, 3)``, int64.
        compared: Correlation, difference, low and high of these, shape ``(neurons, 3, 4)``, float64.

    """

    labels: Tensor
    verdicts: Tensor
    correlations: Tensor
    relatives: Tensor
    compared: Tensor

    @classmethod
    def undecided(cls, labels: Tensor) -> "SpecificityTable":
        """Return a table that says nothing yet.

        Args:
            labels: Place of each neuron's label, shape ``(neurons,)``.

        """
        verdicts = torch.full(labels.shape, VERDICTS.index("undecided"), dtype=torch.uint8)
        correlations = torch.full(labels.shape, torch.nan, dtype=torch.float64)
        relatives = torch.full((len(labels), len(RELATIONS)), -1)
        return cls(labels, verdicts, correlations, relatives, correlations[:, None, None].repeat(1, len(RELATIONS), 4))

    def records(self, names: Sequence[str]) -> tuple[LabelSpecificity, ...]:
        """Return the rows as records.

        Args:
            names: The names of the hierarchy, `ConceptHierarchy.names`.

        """
        columns = (getattr(self, field.name).tolist() for field in fields(self))
        return tuple(
            LabelSpecificity(
                names[label] if label >= 0 else "",
                VERDICTS[verdict],
                correlation,
                *(
                    Relative(names[place], relation, *numbers) if place >= 0 else None
                    for place, relation, numbers in zip(places, RELATIONS, compared, strict=True)
                ),
            )
            for label, verdict, correlation, places, compared in zip(*columns, strict=True)
        )
