"""The alarm that many concepts were lost at once."""

from dataclasses import dataclass

import numpy as np

from lightning_dissect.array_archive import Array
from lightning_dissect.history.alarms import ALARMS, Alarm, Curves, where
from lightning_dissect.history.history import DissectionHistory
from lightning_dissect.history.snapshot import Snapshot


@ALARMS.register("concept_loss")
@dataclass(frozen=True)
class ConceptLoss:
    """Raises an alarm if the number of distinct reliable labels falls suddenly.

    It falls by more than ``share`` from one dissection to the next, by at least ``least`` labels, and by more than
    other images would explain: a label is lost to them if all its neurons lose it, whose probability is the product of
    1 minus their `LabelTrust.stability`; the sum over the labels is the mean of a Poisson distribution that exceeds the
    fall with a probability of ``significance`` at most. Where stability is unknown nothing is explained.

    Where all layers together raise the alarm, single layers do not.

    Args:
        share: Share of the labels whose loss is put up with.
        least: Labels below which no loss is worth an alarm.
        significance: Highest probability of so great a loss by other images alone.

    Raises:
        ValueError:
            If ``share`` or ``significance`` is not between 0 and 1 or ``least`` is below 1.

    Example:
        >>> ConceptLoss(share=0.8).least
        5

    """

    share: float = 0.5
    least: int = 5
    significance: float = 0.001

    def __post_init__(self) -> None:
        for name in ("share", "significance"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"Expected `{name}` to be between 0 and 1 but got {getattr(self, name)}.")
        if self.least < 1:
            raise ValueError(f"Expected `least` to be at least 1 but got {self.least}.")

    def check(self, history: DissectionHistory, curves: Curves) -> list[Alarm]:
        """Return the alarms that the last dissection raises, see `AlarmRule`."""
        if len(history) < 2:
            return []
        before = history[-2]
        found = [alarm for layer in curves if (alarm := self._check_layer(before, layer, curves[layer]["coverage"]))]
        return found[:1] if found and not found[0].layer else found

    def _check_layer(self, before: Snapshot, layer: str, coverage: Array) -> Alarm | None:
        from scipy.stats import poisson

        had, has = coverage[-2:]
        fall, allowed = had - has, max(self.share * had, self.least - 1)
        if not fall > allowed:
            return None
        expected = expected_losses(before, before.of_layer(layer) if layer else np.arange(len(before)))
        if poisson.sf(fall - 1, expected) > self.significance:
            return None
        text = (
            f"The distinct reliable labels fell from {had:.0f} to {has:.0f}{where(layer)} since the last dissection; "
            f"other images alone would have cost about {expected:.1f}."
        )
        return Alarm("concept_loss", f"Concepts lost{where(layer)}", text, layer, float(has), float(had - allowed))


def expected_losses(snapshot: Snapshot, rows: Array) -> float:
    """Return how many distinct reliable labels other images alone would cost.

    Args:
        snapshot: A dissection.
        rows: Rows of the neurons that count.

    """
    labels = snapshot.label[rows]
    instability = np.nan_to_num(1 - snapshot.trust["stability"][rows].astype(np.float64))[labels >= 0]
    products = np.ones(len(snapshot.concepts))
    np.multiply.at(products, labels[labels >= 0], instability)
    return float(products[np.unique(labels[labels >= 0])].sum())
