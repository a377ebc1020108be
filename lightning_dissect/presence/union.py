"""Presence of superclasses: the union of what is below them."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from lightning_dissect.checks import check_positive
from lightning_dissect.presence.base import ALL_IMAGES, PresenceSource

UnionRule = Literal["maximum", "noisy_or", "sum"]


class UnionPresence:
    r"""Presence of concepts that are unions of others, from the presence of these.

    How likely at least one of several concepts is in an image depends on how they go together:

    * ``"maximum"``, :math:`\max_m p_m`, the least it can be: the likeliest holds wherever the others do. It is the
      only one that does not grow with the number of concepts, whose small errors the others add up: of a hundred kinds
      of dog at 0.03 each, noisy-or makes a dog with 0.95.
    * ``"noisy_or"``, :math:`1 - \prod_m (1 - p_m)`: they come independently of each other.
    * ``"sum"``, :math:`\min(1, \sum_m p_m)`, the most it can be: they exclude each other, as the classes of a softmax
      do.

    Where presence is 0 or 1 the three are the same.

    Args:
        source: Presence of the concepts that the unions are made of.
        members: Concepts of each union, such as `ConceptHierarchy.members`; none empty.
        rule: How the presence of several becomes that of their union.
        max_bytes: Most bytes that the presence of members may take at a time.

    Raises:
        ValueError:
            If ``rule`` is unknown, ``max_bytes`` not positive, or a union is empty or has a member that ``source``
            lacks.

    Example:
        >>> from lightning_dissect.presence import GivenPresence
        >>> kinds = GivenPresence(torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.25, 1.0]]))
        >>> [UnionPresence(kinds, [[0, 1]], rule).columns(slice(None)).flatten().round(decimals=4).tolist()
        ...  for rule in ("maximum", "noisy_or", "sum")]
        [[0.5, 0.25], [0.75, 0.25], [1.0, 0.25]]

    """

    def __init__(
        self,
        source: PresenceSource,
        members: Sequence[Sequence[int]],
        rule: UnionRule = "maximum",
        max_bytes: int = 2**26,
    ) -> None:
        check_positive("max_bytes", max_bytes)
        if rule not in get_args(UnionRule):
            raise ValueError(f"Expected `rule` to be one of {list(get_args(UnionRule))} but got {rule!r}.")
        for place, union in enumerate(members):
            if not union or not 0 <= min(union) <= max(union) < source.shape[1]:
                raise ValueError(
                    f"Expected each of `members` to hold some of the concepts 0 to {source.shape[1] - 1} "
                    f"but got {list(union)} at place {place}."
                )
        self.source = source
        self.members = members
        self.rule = rule
        self.max_bytes = max_bytes
        self.shape = (source.shape[0], len(members))

    def columns(self, concepts: slice | Tensor, images: slice | Tensor = ALL_IMAGES) -> Tensor:
        """Return the presence of some unions; see `PresenceSource.columns`.

        The presence of a member is computed once for all of the unions.
        """
        chosen = torch.arange(self.shape[1])[concepts if isinstance(concepts, slice) else concepts.cpu()].tolist()
        unions = [torch.tensor(sorted(set(self.members[concept])), dtype=torch.int64) for concept in chosen]
        needed = torch.unique(torch.cat(unions)) if unions else torch.empty(0, dtype=torch.int64)
        nothing = self.source.columns(needed[:0], images)
        found = nothing.new_zeros(len(chosen), len(nothing))
        for block in torch.split(needed, max(1, self.max_bytes // (8 * max(1, len(nothing))))) if chosen else ():
            values = self._summands(self.source.columns(block, images).clamp_(0, 1))
            for row, union in zip(found, unions, strict=True):
                inside = union[(union >= block[0]) & (union <= block[-1])]
                if len(inside):
                    self._add(row, values[:, torch.searchsorted(block, inside).to(values.device)])
        return (found.expm1_().abs_() if self.rule == "noisy_or" else found.clamp_(max=1)).T

    def _summands(self, values: Tensor) -> Tensor:
        """Return what is added up over members: for noisy-or the logarithm of the probability of absence."""
        return values.neg_().log1p_() if self.rule == "noisy_or" else values

    def _add(self, row: Tensor, values: Tensor) -> None:
        if self.rule == "maximum":
            torch.maximum(row, values.amax(dim=1), out=row)
        else:
            row += values.sum(dim=1)
