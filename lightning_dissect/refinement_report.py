"""The labels of an open vocabulary that were searched for after one dissection."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lightning_dissect.label_refinement import LabelRefinement
from lightning_dissect.types import Picture


@dataclass(frozen=True)
class RefinementReport:
    """What the search for labels found, and where it goes.

    Args:
        epoch: Epoch of the training, from 0.
        step: Optimiser steps taken so far.
        cycle: Number of dissections before the one that the search began with.
        neurons: What was found for each neuron, in the order in which they were searched.
        pictures: Small pictures of the images that speak for it, by content id, each ``(height, width, 3)`` uint8.
        settings: What the numbers depend on, as plain text.
        dirpath: Folder of the run, in which ``refinement/cycle-0003`` holds what belongs to this report; ``None`` if
            nothing may be written.
        logger_step: Step under which the loggers get this report; ``None`` means ``step``.
        name: What tells this dissection from others of the same run; keys in loggers begin with it.

    Example:
        >>> from lightning_dissect.label_refinement import RefinementCost
        >>> neuron = LabelRefinement("fc", 7, "wolf", "wolf", "dog", (), "steps", cost=RefinementCost(images=40))
        >>> RefinementReport(0, 10, 3, (neuron,)).metrics["images_per_neuron"]
        40.0

    """

    epoch: int
    step: int
    cycle: int
    neurons: tuple[LabelRefinement, ...]
    pictures: Mapping[int, Picture] = field(default_factory=dict, repr=False)
    settings: Mapping[str, str] = field(default_factory=dict)
    dirpath: Path | None = None
    logger_step: int | None = None
    name: str = "dissection"

    @property
    def folder(self) -> Path | None:
        """Where what belongs to this report is kept."""
        return None if self.dirpath is None else refinement_folder(self.dirpath, self.cycle)

    @property
    def metrics(self) -> dict[str, float]:
        """The search in numbers.

        ``refined``, the neurons that were searched; ``labelled_share``, those with a label; ``auc``, the mean over
        their labels; ``auc_gain``, how much higher it is than that of the labels that the searches began with, over
        neurons with both; ``new_share``, the share of labels that the vocabulary has in no form; ``senses``, the mean
        number of meanings; ``images_per_neuron``, ``judging_images_per_neuron``, ``calls_per_neuron``,
        ``lookups_per_neuron`` and ``seconds_per_neuron``. Means over nothing are NaN.
        """
        labelled = [neuron for neuron in self.neurons if neuron.label]
        scores = [(neuron.judged, neuron.start_judged) for neuron in labelled]
        costs = [neuron.cost for neuron in self.neurons]
        return {
            "refined": float(len(self.neurons)),
            "labelled_share": _mean(bool(neuron.label) for neuron in self.neurons),
            "auc": _mean(score.auc for score, _ in scores if score),
            "auc_gain": _mean(
                score.auc - start.auc for score, start in scores if score is not None and start is not None
            ),
            "new_share": _mean(neuron.novelty.by_lemma for neuron in labelled if neuron.novelty is not None),
            "senses": _mean(len(neuron.senses) for neuron in labelled if neuron.senses),
            "images_per_neuron": _mean(cost.images for cost in costs),
            "judging_images_per_neuron": _mean(cost.judging_images for cost in costs),
            "calls_per_neuron": _mean(cost.calls for cost in costs),
            "lookups_per_neuron": _mean(cost.lookups for cost in costs),
            "seconds_per_neuron": _mean(cost.seconds for cost in costs),
        }


def refinement_folder(dirpath: Path, cycle: int) -> Path:
    """Return the folder of a run in which the search after a dissection keeps its history, images and report.

    Args:
        dirpath: Folder of the run.
        cycle: Number of dissections before it.

    Example:
        >>> refinement_folder(Path("run"), 3).as_posix()
        'run/refinement/cycle-0003'

    """
    return dirpath / "refinement" / f"cycle-{cycle:04d}"


def _mean(values: Iterable[float]) -> float:
    found = np.array([float(value) for value in values])
    known = found[np.isfinite(found)]
    return float(known.mean()) if len(known) else float("nan")
