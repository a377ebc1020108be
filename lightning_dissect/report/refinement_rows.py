"""What the search for labels found and tried, as rows for tables."""

from collections.abc import Iterable, Iterator
from typing import Any

from lightning_dissect.label_refinement import NOWHERE, ConceptTrial, CoSyScore, LabelRefinement
from lightning_dissect.refinement_report import RefinementReport
from lightning_dissect.report.answers import answer_text
from lightning_dissect.types import NAN

REFINEMENT_COLUMNS = (
    "layer",
    "unit",
    "label_before",
    "label",
    "concept",
    "score_before",
    "score",
    "score_gain",
    "auc_before",
    "auc_before_low",
    "auc_before_high",
    "auc",
    "auc_low",
    "auc_high",
    "mad",
    "q_value",
    "senses",
    "new",
    "distance",
    "stopped",
    "trials",
    "images",
    "judging_images",
    "calls",
    "lookups",
    "seconds",
    "epoch",
    "step",
    "cycle",
)
"""The columns of `refinement_rows`, in order."""

TRIAL_COLUMNS = (
    "layer",
    "unit",
    "trial",
    "search_step",
    "origin",
    "outcome",
    "concept",
    "score",
    "standard_error",
    "best_score",
    "images",
    "new_images",
    "answer",
    "epoch",
    "step",
    "cycle",
)
"""The columns of `trial_rows`, in order."""


def refinement_rows(
    report: RefinementReport, neurons: Iterable[LabelRefinement] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield one row per neuron whose label was searched for, with the keys of `REFINEMENT_COLUMNS` in order.

    ``label`` is empty where it is withheld; ``concept`` is what was judged even then, and ``auc`` and ``mad`` are its
    own. ``score``, ``score_before`` and their difference are what the search measured of the concept and of the first
    label. ``senses`` names each meaning by its first concept, with its share; ``new`` says whether the vocabulary has
    the label in no form. Numbers that are unknown are NaN.

    Args:
        report: What the search found.
        neurons: Those of its neurons that are wanted; all by default.

    Example:
        >>> dog = ConceptTrial(0, "label", "scored", "dog", 1.5)
        >>> wolf = ConceptTrial(1, "proposal", "scored", "wolf", 2.25)
        >>> neuron = LabelRefinement("fc", 7, "wolf", "wolf", "dog", (dog, wolf), "steps")
        >>> [row] = refinement_rows(RefinementReport(0, 10, 3, (neuron,)))
        >>> row["label_before"], row["label"], row["score_gain"]
        ('dog', 'wolf', 0.75)

    """
    for neuron in report.neurons if neurons is None else neurons:
        score, before = concept_score(neuron), start_score(neuron)
        yield {
            "layer": neuron.layer,
            "unit": neuron.unit,
            "label_before": neuron.start,
            "label": neuron.label,
            "concept": neuron.concept,
            "score_before": before,
            "score": score,
            "score_gain": score - before,
            **_judged("auc_before", neuron.start_judged),
            **_judged("auc", neuron.judged),
            "mad": neuron.judged.mad if neuron.judged else NAN,
            "q_value": neuron.q_value,
            "senses": "; ".join(f"{sense.concepts[0]} {100 * sense.share:.0f} %" for sense in neuron.senses),
            "new": answer_text(neuron.novelty.by_lemma if neuron.novelty else None),
            "distance": neuron.novelty.distance if neuron.novelty else NAN,
            "stopped": neuron.stopped,
            "trials": len(neuron.trials),
            "images": neuron.cost.images,
            "judging_images": neuron.cost.judging_images,
            "calls": neuron.cost.calls,
            "lookups": neuron.cost.lookups,
            "seconds": neuron.cost.seconds,
            "epoch": report.epoch,
            "step": report.step,
            "cycle": report.cycle,
        }


def trial_rows(report: RefinementReport) -> Iterator[dict[str, Any]]:
    """Yield one row per concept that was tried, neuron by neuron, with the keys of `TRIAL_COLUMNS` in order.

    ``trial`` counts the trials of a neuron from 1. ``best_score`` is the highest score so far, NaN before the first.

    Args:
        report: What the search found.

    Example:
        >>> trials = ConceptTrial(0, "label", "scored", "dog", 1.5), ConceptTrial(1, "proposal", "repeat", "Dogs")
        >>> neuron = LabelRefinement("fc", 7, "dog", "dog", "dog", trials, "steps")
        >>> [(row["concept"], row["best_score"]) for row in trial_rows(RefinementReport(0, 10, 3, (neuron,)))]
        [('dog', 1.5), ('Dogs', 1.5)]

    """
    for neuron in report.neurons:
        bests = iter(neuron.running_best)
        best = NAN
        for number, trial in enumerate(neuron.trials, 1):
            best = next(bests) if trial.outcome == "scored" else best
            yield {
                "layer": neuron.layer,
                "unit": neuron.unit,
                "trial": number,
                "search_step": trial.step,
                "origin": trial.origin,
                "outcome": trial.outcome,
                "concept": trial.concept,
                "score": trial.score,
                "standard_error": trial.standard_error,
                "best_score": best,
                "images": len(trial.image_ids),
                "new_images": trial.new_images,
                "answer": trial.answer,
                "epoch": report.epoch,
                "step": report.step,
                "cycle": report.cycle,
            }


def chosen_trial(neuron: LabelRefinement) -> ConceptTrial | None:
    """Return the trial whose concept was judged, ``None`` if none was scored.

    Args:
        neuron: What was found for a neuron.

    """
    scored = (trial for trial in neuron.trials if trial.outcome == "scored")
    return next((trial for trial in scored if trial.concept == neuron.concept), None)


def concept_score(neuron: LabelRefinement) -> float:
    """Return what the search measured of the concept that was judged, NaN if nothing was scored.

    Args:
        neuron: What was found for a neuron.

    """
    chosen = chosen_trial(neuron)
    return NAN if chosen is None else chosen.score


def start_score(neuron: LabelRefinement) -> float:
    """Return what the search measured of the label that it began with, NaN if there was none or it has no images.

    Args:
        neuron: What was found for a neuron.

    """
    return next((trial.score for trial in neuron.trials if trial.origin == "label"), NAN)


def _judged(name: str, score: CoSyScore | None) -> dict[str, float]:
    auc, (low, high) = (score.auc, score.auc_interval) if score else (NAN, NOWHERE)
    return {name: auc, f"{name}_low": low, f"{name}_high": high}
