"""Tables of neurons as tensors: what a process knows of its share, and how shares become a layer."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, ClassVar

import torch
from typing_extensions import Self


class NeuronTable:
    """Base of frozen dataclasses of tensors that have one row per neuron.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True)
        ... class Heights(NeuronTable):
        ...     metres: torch.Tensor
        >>> Heights.cat([Heights(torch.ones(1)), Heights(torch.zeros(2))]).metres
        tensor([1., 0., 0.])

    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @classmethod
    def cat(cls, tables: Sequence[Self]) -> Self:
        """Return the tables of consecutive neurons as one.

        Args:
            tables: At least one; tables without neurons count for nothing, whatever their other sizes.

        """
        names = [field.name for field in fields(cls)]
        filled = [table for table in tables if len(getattr(table, names[0]))] or tables[:1]
        return cls(*(torch.cat([getattr(table, name) for table in filled]) for name in names))
