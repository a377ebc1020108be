"""Numbers for the neurons and concepts of a run, the same in all its dissections."""

import numpy as np

from lightning_dissect.array_archive import Array
from lightning_dissect.history.snapshot import Snapshot


class Numbering:
    """Numbers neurons and concepts in the order in which they come, so that snapshots can be compared as arrays.

    Example:
        >>> from lightning_dissect.types import DissectionReport, LayerDissection, NeuronLabel, ScoredConcept
        >>> numbering = Numbering()
        >>> for label in ("cat", "dog"):
        ...     neuron = NeuronLabel("fc", 7, "labelled", (ScoredConcept(label, 0.5, 0.4),))
        ...     report = DissectionReport(0, 0, 0, (LayerDissection("fc", (neuron,)),), num_images=8)
        ...     snapshot = Snapshot.of(report)
        ...     numbering.neurons(snapshot).tolist(), numbering.labels(snapshot).tolist()
        ([0], [0])
        ([0], [1])

    """

    def __init__(self) -> None:
        self._neurons: dict[tuple[str, int], int] = {}
        self._concepts: dict[str, int] = {}

    @property
    def num_neurons(self) -> int:
        """Neurons that have a number."""
        return len(self._neurons)

    def neurons(self, snapshot: Snapshot) -> Array:
        """Return the number of each neuron; those of the same layer and unit are the same.

        Args:
            snapshot: A dissection of the run.

        Returns:
            Shape ``(neurons,)``.

        """
        keys = snapshot.keys()
        return np.array([self._neurons.setdefault(key, len(self._neurons)) for key in keys], np.intp)

    def labels(self, snapshot: Snapshot) -> Array:
        """Return the number of each neuron's label.

        Args:
            snapshot: A dissection of the run.

        Returns:
            Shape ``(neurons,)``; -1 where there is no label or it is withheld.

        """
        return self._numbers(snapshot)[snapshot.label]

    def contenders(self, snapshot: Snapshot) -> Array:
        """Return the numbers of the concepts that may be each neuron's best.

        Args:
            snapshot: A dissection of the run.

        Returns:
            Shape ``(neurons, candidates)``; -1 where a candidate is not the best for sure, and in all places where
            there is no label or it is withheld.

        """
        may_be_best = snapshot.contenders.copy()
        may_be_best[:, :1] = True
        may_be_best &= (snapshot.label >= 0)[:, None]
        return np.where(may_be_best, self._numbers(snapshot)[snapshot.candidates], -1)

    def _numbers(self, snapshot: Snapshot) -> Array:
        numbers = (self._concepts.setdefault(name, len(self._concepts)) for name in snapshot.concepts)
        return np.array([*numbers, -1], np.intp)
