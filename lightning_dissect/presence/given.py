"""Presence that a user has already: raters, labels of one's own, another model."""

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from lightning_dissect.checks import closest
from lightning_dissect.presence.base import ALL_IMAGES

_ROWS_AT_ONCE = 4096


class GivenPresence:
    """A matrix of concept presence.

    Args:
        values: Probabilities in ``[0, 1]``, shape ``(images, concepts)``, any dtype; bool for present or absent.
        concepts: Name of each concept; needed where `aligned` is to find them.
        sample_ids: Sample id of each image, shape ``(images,)``; by default the images are a dataset in its order.

    Raises:
        ValueError:
            If ``values`` is not a matrix, holds anything but probabilities, or names or ids are not one per column
            and row, each different.

    Example:
        >>> presence = GivenPresence(torch.tensor([[0.0, 1.0], [0.75, 0.25]]), ["cat", "dog"])
        >>> presence.aligned(["dog"], torch.tensor([1])).columns(slice(None))
        tensor([[0.2500]], dtype=torch.float64)

    """

    def __init__(self, values: Tensor, concepts: Sequence[str] | None = None, sample_ids: Tensor | None = None) -> None:
        if values.ndim != 2 or 0 in values.shape or values.is_complex():
            raise ValueError(
                "Expected `values` to be a non-empty real matrix of images and concepts "
                f"but got {values.dtype} with shape {tuple(values.shape)}."
            )
        self.shape = (values.shape[0], values.shape[1])
        self.values = values
        self.concepts = None if concepts is None else tuple(concepts)
        self.sample_ids = torch.arange(len(values)) if sample_ids is None else sample_ids.cpu().long()
        if self.concepts is not None:
            _check_distinct("concepts", "column", self.concepts, self.shape[1])
        _check_distinct("sample_ids", "row", self.sample_ids.tolist(), self.shape[0])
        self._check_range()

    def __repr__(self) -> str:
        return f"GivenPresence({self.shape[0]} images x {self.shape[1]} concepts)"

    def columns(self, concepts: slice | Tensor, images: slice | Tensor = ALL_IMAGES) -> Tensor:
        """Return the presence of some concepts; see `PresenceSource.columns`."""
        return self.values[:, concepts][images].to(torch.float64, copy=True)

    def aligned(self, concepts: Sequence[str], sample_ids: Tensor | None = None) -> "GivenPresence":
        """Return the presence of named concepts in certain images, in the order asked for.

        Args:
            concepts: Names, such as ``vocabulary.concepts``.
            sample_ids: Sample ids of the images, shape ``(chosen,)``; all images by default.

        Raises:
            ValueError:
                If the matrix has no names, or lacks a concept or an image.

        """
        if self.concepts is None:
            raise ValueError("Expected the presence to have named concepts but got none. Give `concepts`.")
        places = {name: place for place, name in enumerate(self.concepts)}
        missing = [name for name in concepts if name not in places]
        if missing:
            raise ValueError(
                f"Expected the presence of all {len(concepts)} concepts but got none of {len(missing)} of them, "
                f"such as {missing[0]!r}. {closest(missing[0], list(places))}"
            )
        rows = torch.arange(self.shape[0]) if sample_ids is None else self._rows(sample_ids.cpu().long())
        chosen = torch.tensor([places[name] for name in concepts], device=self.values.device)
        rows_there = rows.to(self.values.device)
        return GivenPresence(self.values[rows_there][:, chosen], concepts, self.sample_ids[rows])

    def _rows(self, sample_ids: Tensor) -> Tensor:
        ordered, rows = self.sample_ids.sort()
        places = torch.searchsorted(ordered, sample_ids).clamp_(max=len(ordered) - 1)
        is_missing = ordered[places] != sample_ids
        if is_missing.any():
            raise ValueError(
                f"Expected the presence in all {len(sample_ids)} images but got none for {int(is_missing.sum())} of "
                f"them, such as sample id {int(sample_ids[is_missing][0])}."
            )
        return rows[places]

    def _check_range(self) -> None:
        for start in range(0, self.shape[0], _ROWS_AT_ONCE):
            rows = self.values[start : start + _ROWS_AT_ONCE]
            is_wrong = ~((rows >= 0) & (rows <= 1))
            if is_wrong.any():
                row, column = is_wrong.nonzero()[0].tolist()
                concept = column if self.concepts is None else repr(self.concepts[column])
                raise ValueError(
                    f"Expected `values` to be probabilities between 0 and 1 but got {rows[row, column].item()} for "
                    f"sample id {int(self.sample_ids[start + row])} and concept {concept}."
                )


def _check_distinct(name: str, line: str, values: Sequence[object], count: int) -> None:
    if len(values) != count:
        raise ValueError(f"Expected `{name}` to hold one of them per {line}, {count}, but got {len(values)}.")
    value, times = Counter(values).most_common(1)[0]
    if times > 1:
        raise ValueError(f"Expected `{name}` to be different from each other but got {value!r} {times} times.")
