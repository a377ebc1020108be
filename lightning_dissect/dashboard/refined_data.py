"""What the page's script knows of searches for labels."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lightning_dissect.label_refinement import CoSyScore, LabelRefinement
from lightning_dissect.refinement_report import RefinementReport, refinement_folder
from lightning_dissect.report.plain_number import plain_number


def refined_data(refinements: Iterable[RefinementReport]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return what the last search for the label of each neuron found, as plain values that JSON can hold.

    Args:
        refinements: What searches found, in their order.

    Returns:
        By layer and unit: ``page``, where the whole search lies beside the dashboard, ``step``, ``start``, ``label``,
        ``concept``, ``stopped``, ``images``, ``calls``, ``auc`` and ``aucBefore`` as ``[AUC, its ends]`` or ``None``,
        ``trials`` as ``[concept, score, outcome]``, ``shown`` as places of trials, best first, and ``senses`` as
        ``[concept, share]``. A number that is not finite is ``None``.

    Example:
        >>> neuron = LabelRefinement("fc", 7, "wolf", "wolf", "dog", (), "steps")
        >>> found = refined_data([RefinementReport(0, 10, 3, (neuron,))])["fc"]["7"]
        >>> found["label"], found["page"]
        ('wolf', 'refinement/cycle-0003/refinement.html')

    """
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for report in refinements:
        page = (refinement_folder(Path(), report.cycle) / "refinement.html").as_posix()
        for neuron in report.neurons:
            known = {"page": page, "step": report.step, **_neuron_data(neuron)}
            found.setdefault(neuron.layer, {})[str(neuron.unit)] = known
    return found


def _neuron_data(neuron: LabelRefinement) -> dict[str, Any]:
    return {
        "start": neuron.start,
        "label": neuron.label,
        "concept": neuron.concept,
        "stopped": neuron.stopped,
        "images": neuron.cost.images,
        "calls": neuron.cost.calls,
        "auc": _auc(neuron.judged),
        "aucBefore": _auc(neuron.start_judged),
        "trials": [[trial.concept, plain_number(trial.score), trial.outcome] for trial in neuron.trials],
        "shown": [neuron.trials.index(trial) for trial in neuron.shown_trials],
        "senses": [[sense.concepts[0], plain_number(sense.share)] for sense in neuron.senses],
    }


def _auc(score: CoSyScore | None) -> list[float | None] | None:
    if score is None or not score.is_scorable:
        return None
    return list(map(plain_number, (score.auc, *score.auc_interval)))
