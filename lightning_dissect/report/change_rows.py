"""What changed from one dissection to the next as rows for tables."""

from typing import Any, Literal

import numpy as np

from lightning_dissect.history import Snapshot, compare
from lightning_dissect.types import STATUSES

Change = Literal["new", "lost", "changed", "within noise"]

CHANGE_COLUMNS = ("epoch", "step", "layer", "unit", "label", "previous_label", "change", "quality", "status")
"""The columns of `change_rows`, in order."""


def change_rows(before: Snapshot | None, after: Snapshot) -> list[dict[str, Any]]:
    """Return one row per neuron whose label is another than before, with the keys of `CHANGE_COLUMNS` in their order.

    ``label`` and ``previous_label`` are empty where there is none or it is withheld. ``change`` is ``"new"`` or
    ``"lost"`` if one of the two is empty. Else it is ``"changed"`` if no concept that may be the best before may be the
    best now, and ``"within noise"`` if one may, so that other images of the same kind could have brought the old label
    back. ``quality`` is that of the best candidate now, NaN if there is none.

    Args:
        before: The dissection before, ``None`` if there was none: all labels are new.
        after: The dissection; neurons that only the other one has get no row.

    Example:
        >>> from lightning_dissect.types import DissectionReport, LayerDissection, NeuronLabel, ScoredConcept
        >>> def snapshot(label):
        ...     neuron = NeuronLabel("fc", 7, "labelled", (ScoredConcept(label, 0.5, 0.4),))
        ...     return Snapshot.of(DissectionReport(1, 8, 1, (LayerDissection("fc", (neuron,)),), num_images=9))
        >>> [row] = change_rows(snapshot("cat"), snapshot("dog"))
        >>> row["previous_label"], row["label"], row["change"]
        ('cat', 'dog', 'changed')
        >>> change_rows(snapshot("cat"), snapshot("cat"))
        []

    """
    labels = after.labels
    previous = np.full(len(after), "", dtype=object)
    is_real = np.zeros(len(after), np.bool_)
    if before is not None:
        changes = compare(before, after, embeddings={})
        previous[changes.rows_after] = before.labels[changes.rows_before]
        is_real[changes.rows_after] = changes.changed
    keys, qualities = after.keys(), after.quality
    return [
        {
            "epoch": after.epoch,
            "step": after.step,
            "layer": keys[row][0],
            "unit": keys[row][1],
            "label": labels[row],
            "previous_label": previous[row],
            "change": _change(previous[row], labels[row], bool(is_real[row])),
            "quality": float(qualities[row]),
            "status": STATUSES[after.status[row]],
        }
        for row in np.flatnonzero(labels != previous).tolist()
    ]


def _change(previous: str, label: str, is_real: bool) -> Change:
    if not previous:
        return "new"
    if not label:
        return "lost"
    return "changed" if is_real else "within noise"
