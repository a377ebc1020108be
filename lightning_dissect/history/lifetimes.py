"""How long labels live."""

from collections import Counter, defaultdict
from collections.abc import Mapping

import numpy as np

from lightning_dissect.array_archive import Array
from lightning_dissect.history.numbering import Numbering
from lightning_dissect.history.snapshot import Snapshot


class Lifetimes:
    """The lives of all labels of a run.

    A label is born when a neuron has a reliable label and none of its labels lives. It lives as long as it is among the
    contenders of the neuron, even while another of them is the best, and dies with the first dissection in which it is
    none of them or the neuron has no reliable label. Where a neuron is no longer dissected, its label leaves the count
    alive.

    Example:
        >>> from lightning_dissect.types import DissectionReport, LayerDissection, NeuronLabel, ScoredConcept
        >>> lifetimes = Lifetimes()
        >>> for cycle, label in enumerate(["cat", "cat", "dog", "cow"]):
        ...     neuron = NeuronLabel("fc", 0, "labelled", (ScoredConcept(label, 0.5, 0.4),))
        ...     report = DissectionReport(0, 10 * cycle, cycle, (LayerDissection("fc", (neuron,)),), num_images=8)
        ...     lifetimes.add(Snapshot.of(report)).tolist(), lifetimes.half_life()
        ([True], nan)
        ([False], nan)
        ([False], 20.0)
        ([False], 10.0)

    """

    def __init__(self) -> None:
        self._numbering = Numbering()
        self._layers: list[str] = []
        self._label = np.empty(0, np.intp)
        self._born = np.empty(0, np.float64)
        self._seen = np.empty(0, np.float64)
        self._had_label = np.empty(0, np.bool_)
        self._died: defaultdict[str, Counter[float]] = defaultdict(Counter)
        self._left: defaultdict[str, Counter[float]] = defaultdict(Counter)

    def add(self, snapshot: Snapshot) -> Array:
        """Go on to the next dissection.

        Args:
            snapshot: The dissection after those that were added.

        Returns:
            Which neurons have a reliable label for the first time in the run, shape ``(neurons,)``, bool.

        """
        neurons = self._places(snapshot)
        labels = self._numbering.labels(snapshot)
        living = self._label[neurons]
        lives = ((self._numbering.contenders(snapshot) == living[:, None]) & (living >= 0)[:, None]).any(axis=1)
        dies = neurons[(living >= 0) & ~lives]
        leaves = np.setdiff1d(np.flatnonzero(self._label >= 0), neurons)
        self._count(self._died, dies, snapshot.step - self._born[dies])
        self._count(self._left, leaves, self._seen[leaves] - self._born[leaves])
        self._label[dies] = self._label[leaves] = -1

        is_born = ~lives & (labels >= 0)
        self._label[neurons[is_born]] = labels[is_born]
        self._born[neurons[is_born]] = snapshot.step
        self._seen[neurons] = snapshot.step
        is_first: Array = is_born & ~self._had_label[neurons]
        self._had_label[neurons[is_born]] = True
        return is_first

    def half_life(self, layer: str | None = None) -> float:
        """Return after how many steps half of the labels are dead.

        It is the median of the product-limit estimate of how long labels live, to which those that live still
        contribute that they have lived so long: the shortest life at which no more than half are estimated to be left.
        A death is dated to the dissection that finds it.

        Args:
            layer: Full module name of the layer that counts; by default all.

        Returns:
            Optimiser steps; NaN if more than half outlive what was seen so far.

        References:
            Kaplan and Meier, Nonparametric Estimation from Incomplete Observations, JASA 53, 1958.

        """
        died: Counter[float] = Counter()
        censored: Counter[float] = Counter()
        for name in set(self._layers) if layer is None else {layer}:
            died.update(self._died[name])
            censored.update(self._left[name])
        lives = self._label >= 0
        if layer is not None:
            lives &= np.array(self._layers) == layer
        censored.update(_lengths(self._seen[lives] - self._born[lives]))
        return median_life(died, censored)

    def _places(self, snapshot: Snapshot) -> Array:
        """Return the number of each neuron, with a place for those that are new."""
        neurons = self._numbering.neurons(snapshot)
        fresh = self._numbering.num_neurons - len(self._label)
        names = np.array(snapshot.layers, dtype=object)[snapshot.layer]
        self._layers += names[neurons >= len(self._label)].tolist()
        self._label = np.append(self._label, np.full(fresh, -1))
        self._born = np.append(self._born, np.zeros(fresh))
        self._seen = np.append(self._seen, np.zeros(fresh))
        self._had_label = np.append(self._had_label, np.zeros(fresh, np.bool_))
        return neurons

    def _count(self, counts: Mapping[str, Counter[float]], neurons: Array, lives: Array) -> None:
        names = np.array(self._layers, dtype=object)[neurons]
        for name in dict.fromkeys(names.tolist()):
            counts[name].update(_lengths(lives[names == name]))


def median_life(died: Mapping[float, int], censored: Mapping[float, int]) -> float:
    """Return the median of the product-limit estimate of a survival function.

    Args:
        died: How many died at each age.
        censored: How many were alive when last seen, by their age then.

    Returns:
        The least age at which at most half are left, NaN if there is none.

    Example:
        >>> median_life({1.0: 1, 3.0: 1}, {2.0: 2})
        3.0

    References:
        Kaplan and Meier, Nonparametric Estimation from Incomplete Observations, JASA 53, 1958.

    """
    alive = sum(died.values()) + sum(censored.values())
    left = 1.0
    for age in sorted({*died, *censored}):
        deaths = died.get(age, 0)
        left *= 1 - deaths / alive if deaths else 1
        if deaths and left <= 0.5 + 1e-12:
            return age
        alive -= deaths + censored.get(age, 0)
    return float("nan")


def _lengths(lives: Array) -> dict[float, int]:
    """Count lives by their length; steps that began again count as none."""
    ages, counts = np.unique(np.maximum(lives, 0), return_counts=True)
    return dict(zip(ages.tolist(), counts.tolist(), strict=True))
