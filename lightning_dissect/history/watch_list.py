"""The alarm that concepts which should not matter are on the rise."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lightning_dissect.array_archive import Array
from lightning_dissect.history.alarms import ALARMS, Alarm, Curves
from lightning_dissect.history.directions import unit_vectors
from lightning_dissect.history.history import DissectionHistory
from lightning_dissect.history.snapshot import Snapshot


@ALARMS.register("watch_list")
@dataclass(frozen=True)
class WatchList:
    """Raises an alarm when watched concepts, such as a watermark, take a significantly larger share of the labels.

    The share of the reliable labels that are watched is compared with that of each earlier dissection by Fisher's exact
    test, one-sided; the least p-value times the number of these dissections is ``significance`` at most. Neurons keep
    their labels from one dissection to the next, which makes the test err on the side of silence.

    A label is watched if a watched concept stands in it as whole words, in whatever case and in the singular or the
    plural with *s*, or if it is near to one.

    Args:
        concepts: The watched concepts; in one text, separated by commas.
        share: Share of the reliable labels above which there is an alarm in any case; ``None`` sets none.
        distance: 1 minus the cosine of the embeddings up to which a label is near to a watched concept that itself has
            been a candidate of some neuron; ``None`` goes by names alone.
        significance: Highest probability of a false alarm at a dissection.

    Raises:
        ValueError:
            If there is no concept; ``share`` or ``significance`` is not between 0 and 1; or ``distance`` is negative.

    Example:
        >>> watched = WatchList(["watermark", "text"])
        >>> [watched.watches(label) for label in ("Watermarks", "text on a wall", "texture")]
        [True, True, False]

    """

    concepts: str | Sequence[str]
    share: float | None = None
    distance: float | None = None
    significance: float = 0.01

    def __post_init__(self) -> None:
        if not self._phrases:
            raise ValueError(f"Expected `concepts` to name a concept to watch but got {self.concepts!r}.")
        for name in ("share", "significance"):
            value = getattr(self, name)
            if value is not None and not 0 < value < 1:
                raise ValueError(f"Expected `{name}` to be between 0 and 1 but got {value}.")
        if self.distance is not None and self.distance < 0:
            raise ValueError(f"Expected `distance` to be 0 or more, or None, but got {self.distance}.")

    def watches(self, label: str) -> bool:
        """Return whether a watched concept stands in a label.

        Args:
            label: The label.

        """
        words = f" {_words(label)} "
        return any(f" {phrase} " in words for phrase in self._phrases)

    def check(self, history: DissectionHistory, curves: Curves) -> list[Alarm]:  # noqa: ARG002
        """Return the alarm that the last dissection raises, see `AlarmRule`."""
        watched = self._watched(history)
        shares = np.array([_count(snapshot, watched) for snapshot in history]).reshape(-1, 2)
        threshold = self._passed(shares)
        if threshold is None or self._passed(shares[:-1]) is not None:
            return []
        found, total = shares[-1]
        last = history[-1]
        names = ", ".join(sorted({name for name in last.labels if name in watched}))
        rows = np.isin(last.labels.astype(str), sorted(watched))
        layers = ", ".join(last.layers[place] for place in np.unique(last.layer[rows]))
        text = (
            f"{found} of {total} reliable labels ({found / total:.1%}, above {threshold:.1%}) are on the watch list: "
            f"{names}, in {layers}."
        )
        return [Alarm("watch_list", "Watched concepts on the rise", text, "", float(found / total), threshold)]

    @cached_property
    def _phrases(self) -> list[str]:
        concepts = self.concepts.split(",") if isinstance(self.concepts, str) else self.concepts
        return [words for concept in concepts if (words := _words(concept))]

    def _watched(self, history: DissectionHistory) -> set[str]:
        """Return which concepts that were ever candidates are watched."""
        names = list(dict.fromkeys(name for snapshot in history for name in snapshot.concepts))
        watched = [name for name in names if self.watches(name)]
        if self.distance is None or not watched:
            return set(watched)
        exact = [name for name in names if _words(name) in self._phrases]
        cosines = _cosines(names, exact, history.embeddings)
        near, _ = np.nonzero(cosines >= 1 - self.distance)
        return {*watched, *(names[place] for place in near)}

    def _passed(self, shares: Array) -> float | None:
        """Return the share that the last one exceeds, given or the least so far, ``None`` if there is no alarm."""
        from scipy.stats import hypergeom

        if not len(shares) or not shares[-1, 0]:
            return None
        *earlier, (found, total) = shares
        if self.share is not None and found / total > self.share:
            return self.share
        known = np.array([past for past in earlier if past[1]]).reshape(-1, 2)
        if not len(known):
            return None
        least = known[np.argmin(known[:, 0] / known[:, 1])]
        pooled, both = found + known[:, 0], total + known[:, 1]
        chances = hypergeom.sf(found - 1, both, pooled, total)
        is_rise = chances.min() * len(known) <= self.significance
        return float(least[0] / least[1]) if is_rise else None


def _words(text: str) -> str:
    """Return the words of a text in lower case and in the singular."""
    words = re.findall(r"[^\W_]+", text.casefold())
    return " ".join(word[:-1] if len(word) > 3 and word.endswith("s") and word[-2] != "s" else word for word in words)


def _count(snapshot: Snapshot, watched: set[str]) -> tuple[int, int]:
    """Return how many reliable labels are watched, and how many there are."""
    is_watched = np.array([*(name in watched for name in snapshot.concepts), False])
    return int(is_watched[snapshot.label].sum()), int((snapshot.label >= 0).sum())


def _cosines(names: Sequence[str], others: Sequence[str], embeddings: Mapping[str, Array]) -> Array:
    vectors = unit_vectors([*names, *others], embeddings)
    cosines: Array = vectors[: len(names)] @ vectors[len(names) :].T
    return cosines
