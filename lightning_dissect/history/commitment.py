"""Since when labels stay what they are."""

from collections.abc import Iterable, Sequence

import numpy as np

from lightning_dissect.array_archive import Array
from lightning_dissect.history.changes import same_neurons, share_contenders
from lightning_dissect.history.snapshot import Snapshot

SETTLED_AFTER = 3
"""Dissections in a row, the last included, through which a settled label held."""


def commitment_steps(snapshots: Iterable[Snapshot]) -> Array:
    """Return since when each neuron has had a label that may be its last one.

    A neuron is committed to its last label since a dissection if in this one and in all that follow its label is
    reliable and its contenders overlap with the last ones.

    Args:
        snapshots: The dissections of a run in their order, such as a `DissectionHistory`; at least one.

    Returns:
        Optimiser steps, a row per neuron of the last dissection, shape ``(neurons,)``, float64; NaN where it has no
        reliable label.

    Example:
        >>> from lightning_dissect.types import DissectionReport, LayerDissection, NeuronLabel, ScoredConcept
        >>> def snapshot(cycle, label):
        ...     neuron = NeuronLabel("fc", 0, "labelled", (ScoredConcept(label, 0.5, 0.4),))
        ...     report = DissectionReport(0, 10 * cycle, cycle, (LayerDissection("fc", (neuron,)),), num_images=8)
        ...     return Snapshot.of(report)
        >>> commitment_steps(snapshot(cycle, label) for cycle, label in enumerate(["cat", "dog", "dog"]))
        array([10.])

    """
    *earlier, last = snapshots
    committed = last.label >= 0
    steps = np.where(committed, float(last.step), np.nan)
    for snapshot in reversed(earlier):
        if not committed.any():
            break
        committed = committed & _held(snapshot, last)
        steps[committed] = snapshot.step
    return steps


def is_settled(snapshots: Sequence[Snapshot]) -> Array:
    """Return which labels have settled: committed to for `SETTLED_AFTER` dissections in a row.

    Args:
        snapshots: The dissections of a run up to now, in their order; the last `SETTLED_AFTER` are enough.

    Returns:
        A row per neuron of the last dissection, shape ``(neurons,)``, bool; all false where there are too few.

    """
    *earlier, last = snapshots[-SETTLED_AFTER:]
    held = [_held(snapshot, last) for snapshot in earlier]
    return np.all(held, axis=0) if len(held) == SETTLED_AFTER - 1 else np.zeros(len(last), np.bool_)


def _held(snapshot: Snapshot, last: Snapshot) -> Array:
    held = np.zeros(len(last), np.bool_)
    rows_before, rows_after = same_neurons(snapshot, last).T
    held[rows_after] = share_contenders(snapshot, last, rows_before, rows_after)
    return held
