"""Presence of many concepts, asked for in parts of one width."""

from collections.abc import Iterator

import torch
from torch import Tensor

from lightning_dissect.presence.base import PresenceSource


def fixed_width_columns(presence: PresenceSource, concepts: Tensor, width: int) -> Iterator[tuple[slice, Tensor]]:
    """Yield the presence of some concepts, always computed for as many at a time.

    Matrix products of other widths differ in their last bits. So what a concept gets does not depend on which others
    are asked for, whichever neurons a process has; the last part is filled up with its last concept.

    Args:
        presence: Presence of all concepts.
        concepts: Which of them, shape ``(chosen,)``, on the device of the presence.
        width: Concepts at a time.

    Yields:
        Which of the chosen concepts, and their presence, float64, shape ``(images, part)``.

    Example:
        >>> from lightning_dissect.presence import GivenPresence
        >>> presence = GivenPresence(torch.eye(3))
        >>> [columns.tolist() for _, columns in fixed_width_columns(presence, torch.tensor([0, 2]), width=4)]
        [[[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]]]

    """
    for start in range(0, len(concepts), width):
        part = concepts[start : start + width]
        asked = torch.cat([part, part[-1:].expand(width - len(part))])
        yield slice(start, start + len(part)), presence.columns(asked)[:, : len(part)]
