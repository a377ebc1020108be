"""A run in curves: what changes from one dissection to the next, per layer and overall."""

from collections.abc import Mapping
from operator import is_not
from types import MappingProxyType

import numpy as np

from lightning_dissect.array_archive import Array
from lightning_dissect.history.changes import compare, coverage
from lightning_dissect.history.commitment import SETTLED_AFTER, is_settled
from lightning_dissect.history.history import DissectionHistory
from lightning_dissect.history.lifetimes import Lifetimes
from lightning_dissect.history.snapshot import Snapshot
from lightning_dissect.types import NAN, STATUSES

CURVES: Mapping[str, str] = MappingProxyType(
    {
        "churn": "Share of the neurons with a reliable label before and now whose best candidate is another one.",
        "churn_floor": "Least churn to expect of the same weights on two probes of as many other images.",
        "changed_share": "Share of the same neurons of which no contender before can be a contender now.",
        "semantic_churn": "Mean distance of the embeddings of both labels over the same neurons, 0 for the same label.",
        "semantic_churn_floor": "Semantic churn to expect of the same weights on two probes of as many other images.",
        "coverage": "Distinct reliable labels.",
        "gained": "Reliable labels that no neuron had before.",
        "lost": "Reliable labels before that no neuron has now.",
        "births": "Neurons that have a reliable label for the first time in the run.",
        "deaths": "Neurons that are dead now and were not before.",
        "resurrected": "Neurons that were dead before and are alive now.",
        "settled_share": f"Share of the reliable labels that held through {SETTLED_AFTER} dissections.",
        "half_life": "Optimiser steps after which half of the labels given so far are gone.",
        "quality": "Mean quality of the best candidates.",
        "labelled_share": "Share of the neurons with one label that is best.",
        "dead_share": "Share of the neurons with the same activation on every image.",
    }
)
"""What each curve says of a dissection, "before" being the dissection before it."""

ALL_LAYERS = ""
"""Stands for all layers together where there is otherwise the name of a layer."""

Values = dict[str, dict[str, float]]


def curves(history: DissectionHistory) -> dict[str, dict[str, Array]]:
    """Return a run in curves.

    The value at a dissection depends on it and on those before it alone, so that a curve only ever grows.

    Args:
        history: The dissections of the run.

    Returns:
        For `ALL_LAYERS` and each layer, for each of `CURVES`, a value per dissection, float64. NaN where undefined: at
        the first dissection and the first of a layer where dissections are compared, where no neuron counts, and where
        a layer was not dissected.

    Example:
        >>> from lightning_dissect.types import DissectionReport, LayerDissection, NeuronLabel, ScoredConcept
        >>> history = DissectionHistory()
        >>> for cycle, label in enumerate(["cat", "dog", "dog"]):
        ...     neuron = NeuronLabel("fc", 0, "labelled", (ScoredConcept(label, 0.5, 0.4),))
        ...     layers = (LayerDissection("fc", (neuron,)),)
        ...     history.append(DissectionReport(0, 10 * cycle, cycle, layers, num_images=8))
        >>> curves(history)["fc"]["churn"]
        array([nan,  1.,  0.])

    """
    growing = RunCurves()
    growing.follow(history)
    return growing.arrays()


class RunCurves:
    """The curves of a run while it runs: each dissection is looked at once.

    Example:
        >>> RunCurves().follow(DissectionHistory())
        []

    """

    def __init__(self) -> None:
        self._begin()

    def follow(self, history: DissectionHistory) -> list[Values]:
        """Look at the dissections of a history that were not there the last time; begin anew where it was changed.

        Args:
            history: The history of the run.

        Returns:
            For each dissection, for `ALL_LAYERS` and each of its layers, each of `CURVES`.

        """
        snapshots = list(history)
        known = len(self._snapshots)
        if len(snapshots) < known or any(map(is_not, self._snapshots, snapshots)):
            self._begin()
        for snapshot in snapshots[len(self._snapshots) :]:
            self._add(snapshot, history.embeddings)
        return list(self._values)

    def arrays(self) -> dict[str, dict[str, Array]]:
        """Return the curves of the dissections that were looked at, as `curves` does."""
        layers = dict.fromkeys(layer for values in self._values for layer in values)
        return {
            layer: {name: np.array([found.get(layer, {}).get(name, NAN) for found in self._values]) for name in CURVES}
            for layer in (ALL_LAYERS, *layers)
        }

    def _begin(self) -> None:
        self._snapshots: list[Snapshot] = []
        self._values: list[Values] = []
        self._lifetimes = Lifetimes()

    def _add(self, snapshot: Snapshot, embeddings: Mapping[str, Array]) -> None:
        is_first = self._lifetimes.add(snapshot)
        step = _Step(self._snapshots[-1], snapshot, embeddings, is_first) if self._snapshots else None
        self._snapshots.append(snapshot)
        settled = is_settled(self._snapshots)
        values = {}
        for layer in (ALL_LAYERS, *snapshot.layers):
            chosen = np.ones(len(snapshot), np.bool_) if layer == ALL_LAYERS else _is_in(snapshot, layer)
            found = _state(snapshot, chosen) | (step.values(layer, chosen) if step else {})
            found["half_life"] = self._lifetimes.half_life(None if layer == ALL_LAYERS else layer)
            if len(self._snapshots) >= SETTLED_AFTER:
                found["settled_share"] = _share(settled, chosen & (snapshot.label >= 0))
            values[layer] = {name: found.get(name, NAN) for name in CURVES}
        self._values.append(values)


class _Step:
    """What happened from one dissection to the next."""

    def __init__(self, before: Snapshot, after: Snapshot, embeddings: Mapping[str, Array], is_first: Array) -> None:
        self._before = before
        self._after = after
        self._changes = compare(before, after, embeddings)
        was, is_ = before.status[self._changes.rows_before], after.status[self._changes.rows_after]
        dead, broken = STATUSES.index("dead"), STATUSES.index("non_finite")
        self._events = {
            "births": is_first[self._changes.rows_after],
            "deaths": (was != dead) & (is_ == dead),
            "resurrected": (was == dead) & (is_ != dead) & (is_ != broken),
        }

    def values(self, layer: str, chosen: Array) -> dict[str, float]:
        """Return the curves of the step for the neurons of a layer; those of both dissections are compared."""
        both = chosen[self._changes.rows_after]
        if not both.any():
            return {}
        had = coverage(self._before, None if layer == ALL_LAYERS else self._before.of_layer(layer))
        has = coverage(self._after, chosen)
        return {
            **self._changes.shares(both),
            **{name: float((found & both).sum()) for name, found in self._events.items()},
            "gained": float(len(has - had)),
            "lost": float(len(had - has)),
        }


def _state(snapshot: Snapshot, chosen: Array) -> dict[str, float]:
    qualities = snapshot.quality[chosen].astype(np.float64)
    return {
        "coverage": float(len(coverage(snapshot, chosen))),
        "quality": _share(qualities, np.isfinite(qualities)),
        "labelled_share": _share(snapshot.status == STATUSES.index("labelled"), chosen),
        "dead_share": _share(snapshot.status == STATUSES.index("dead"), chosen),
    }


def _is_in(snapshot: Snapshot, layer: str) -> Array:
    chosen: Array = snapshot.layer == snapshot.layers.index(layer)
    return chosen


def _share(found: Array, chosen: Array) -> float:
    return float(found[chosen].mean()) if chosen.any() else NAN
