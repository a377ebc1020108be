"""The alarm that labels gather on few concepts."""

from dataclasses import dataclass

import numpy as np

from lightning_dissect.array_archive import Array
from lightning_dissect.history.alarms import ALARMS, Alarm, Curves, where
from lightning_dissect.history.history import DissectionHistory
from lightning_dissect.history.snapshot import Snapshot


@ALARMS.register("class_collapse")
@dataclass(frozen=True)
class ClassCollapse:
    """Raises an alarm when the reliable labels have gathered on few concepts.

    The effective number of labels, the exponential of the entropy of the shares of neurons, falls below ``share`` of
    its best so far. Fewer labelled neurons have fewer labels without any collapse; so where there are fewer than at the
    best dissection, the effective number is held against that of as many of its neurons drawn at random.

    Where all layers together raise the alarm, single layers do not.

    Args:
        share: Share of the best effective number below which there is an alarm.
        least: Neurons with a reliable label below which nothing is said.

    Raises:
        ValueError:
            If ``share`` is not between 0 and 1 or ``least`` is below 1.

    Example:
        >>> ClassCollapse().share
        0.5

    References:
        Hill, Diversity and Evenness, Ecology 54, 1973 (the effective number); Hurlbert, The Nonconcept of Species
        Diversity, Ecology 52, 1971 (drawing as many).

    """

    share: float = 0.5
    least: int = 20

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ValueError(f"Expected `share` to be between 0 and 1 but got {self.share}.")
        if self.least < 1:
            raise ValueError(f"Expected `least` to be at least 1 but got {self.least}.")

    def check(self, history: DissectionHistory, curves: Curves) -> list[Alarm]:
        """Return the alarms that the last dissection raises, see `AlarmRule`."""
        snapshots = list(history)
        found = [alarm for layer in curves if (alarm := self._check_layer(snapshots, layer))]
        return found[:1] if found and not found[0].layer else found

    def _check_layer(self, snapshots: list[Snapshot], layer: str) -> Alarm | None:
        counts = [_label_counts(snapshot, layer) for snapshot in snapshots]
        threshold = self._passed(counts)
        if threshold is None or self._passed(counts[:-1]) is not None:
            return None
        now = effective_number(counts[-1])
        text = (
            f"The {counts[-1].sum()} reliable labels{where(layer)} gather on few concepts: they are as diverse as "
            f"{now:.1f} equally frequent ones; at the best dissection so far those of as many neurons were as diverse "
            f"as {threshold / self.share:.1f}."
        )
        return Alarm("class_collapse", f"Labels collapse{where(layer)}", text, layer, now, threshold)

    def _passed(self, counts: list[Array]) -> float | None:
        """Return the threshold below which the last effective number is, ``None`` if it is not."""
        *earlier, now = counts or [np.empty(0, np.intp)]
        if not earlier or now.sum() < self.least:
            return None
        best = max(earlier, key=effective_number)
        if effective_number(now) >= self.share * effective_number(best):
            return None
        threshold = self.share * effective_number(best, now.sum())
        return threshold if effective_number(now) < threshold else None


def effective_number(counts: Array, drawn: int | None = None) -> float:
    """Return how many equally frequent labels are as diverse as some labels.

    Args:
        counts: Neurons with each label, shape ``(labels,)``.
        drawn: Neurons drawn at random without replacement, of which the expected entropy is taken; by default, and
            where there are no more, all.

    Returns:
        The exponential of the entropy; 0 where there is no neuron.

    Example:
        >>> effective_number(np.array([2, 2])), round(effective_number(np.array([2, 2]), drawn=2), 3)
        (2.0, 1.587)

    """
    from scipy.special import entr
    from scipy.stats import hypergeom

    total = int(counts.sum())
    if not total:
        return 0.0
    if drawn is None or drawn >= total:
        return float(np.exp(entr(counts / total).sum()))
    sizes, times = np.unique(counts, return_counts=True)
    seen = np.arange(1, drawn + 1)
    entropies = hypergeom.pmf(seen, total, sizes[:, None], drawn) @ entr(seen / drawn)
    return float(np.exp(times @ entropies))


def _label_counts(snapshot: Snapshot, layer: str) -> Array:
    labels = snapshot.label[snapshot.of_layer(layer)] if layer else snapshot.label
    return np.unique(labels[labels >= 0], return_counts=True)[1]
