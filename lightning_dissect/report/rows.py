"""A report as rows for tables."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lightning_dissect.label_evaluation import LabelEvaluation
from lightning_dissect.report.answers import answer_text
from lightning_dissect.report.scalars import judged_values
from lightning_dissect.types import (
    NAN,
    STATUSES,
    DissectionReport,
    LabelSpecificity,
    LabelTrust,
    NeuronLabel,
    ScoredConcept,
)

NEURON_COLUMNS = (
    "layer",
    "unit",
    "label",
    "score",
    "quality",
    "quality_low",
    "quality_high",
    "q_chance",
    "q_untrained",
    "contenders",
    "runner_ups",
    "status",
    "specificity",
    "epoch",
    "step",
)
"""The columns of `neuron_rows`, in order; those of metrics and evaluators follow ``quality``."""

LAYER_COLUMNS = (
    "epoch",
    "step",
    "cycle",
    "layer",
    "neurons",
    *STATUSES,
    "distinct_labels",
    "quality",
)
"""The columns of `layer_rows`, in order; those of metrics and evaluators follow ``quality``."""


def neuron_columns(report: DissectionReport) -> tuple[str, ...]:
    """Return the columns of `neuron_rows`: one per metric and three per evaluator are among them.

    Args:
        report: The dissection.

    """
    metrics = (metric.name for metric in report.label_metrics)
    return _after_quality(NEURON_COLUMNS, [*metrics, *_evaluator_cells(report, {})])


def layer_columns(report: DissectionReport) -> tuple[str, ...]:
    """Return the columns of `layer_rows`: two per metric and one per rate of an evaluator are among them.

    Args:
        report: The dissection.

    """
    return _after_quality(LAYER_COLUMNS, list(judged_values(report, ())))


def _after_quality(columns: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    place = columns.index("quality") + 1
    return (*columns[:place], *names, *columns[place:])


def neuron_rows(report: DissectionReport, neurons: Iterable[NeuronLabel] | None = None) -> list[dict[str, Any]]:
    """Return one row per neuron, with the keys of `neuron_columns` in their order.

    The label is empty where it is withheld; ``score``, ``quality`` and all that says how far to trust it are then those
    of the best candidate. They and metrics are NaN for a neuron without candidates, and where trust was not judged.
    ``contenders`` names the candidates that may be the best, ``runner_ups`` those after the best, with their scores,
    ``specificity`` whether the label says too much or too little, if the vocabulary has a hierarchy; these three are
    texts for people. For each evaluator ``<evaluator>`` is ``"yes"`` or ``"no"``, empty where it did not judge the
    label, and ``<evaluator>_precision`` and ``<evaluator>_recall`` say on which side it errs. The discrimination of a
    single label is one draw and has a meaning as a mean only, so that `layer_rows` has it.

    Args:
        report: The dissection.
        neurons: The neurons of the report that get a row, all of them by default.

    Example:
        >>> from lightning_dissect.types import LayerDissection
        >>> cat = NeuronLabel("fc", 0, "labelled", (ScoredConcept("cat", 0.5, 0.4), ScoredConcept("dog", 0.25, 0.2)))
        >>> report = DissectionReport(epoch=1, step=8, cycle=1, layers=(LayerDissection("fc", (cat,)),), num_images=9)
        >>> [row] = neuron_rows(report)
        >>> row["label"], row["runner_ups"], row["epoch"]
        ('cat', 'dog (0.25)', 1)

    """
    return [
        {
            "layer": neuron.layer,
            "unit": neuron.unit,
            "label": neuron.label,
            "score": float(neuron.score),
            "quality": float(neuron.quality),
            **{metric.name: float(neuron.metrics.get(metric.name, NAN)) for metric in report.label_metrics},
            **_evaluator_cells(report, neuron.evaluations),
            **_trust_cells(neuron.trust),
            "runner_ups": runner_ups_text(neuron.runner_ups),
            "status": neuron.status,
            "specificity": specificity_text(neuron.specificity),
            "epoch": report.epoch,
            "step": report.step,
        }
        for neuron in (report.neurons if neurons is None else neurons)
    ]


def _evaluator_cells(report: DissectionReport, found: Mapping[str, LabelEvaluation]) -> dict[str, float | str]:
    cells: dict[str, float | str] = {}
    for name in (evaluator.name for evaluator in report.evaluators):
        judged = found.get(name)
        cells[name] = answer_text(judged.yes if judged else None)
        cells[f"{name}_precision"] = judged.precision if judged else NAN
        cells[f"{name}_recall"] = judged.recall if judged else NAN
    return cells


def _trust_cells(trust: LabelTrust | None) -> dict[str, float | str]:
    if trust is None:
        return {"quality_low": NAN, "quality_high": NAN, "q_chance": NAN, "q_untrained": NAN, "contenders": ""}
    low, high = trust.interval
    return {
        "quality_low": low,
        "quality_high": high,
        "q_chance": trust.q_chance,
        "q_untrained": trust.q_untrained,
        "contenders": "; ".join(trust.contenders),
    }


def runner_ups_text(runner_ups: Sequence[ScoredConcept]) -> str:
    """Return runner-ups as people read them: each with its score, best first.

    Example:
        >>> runner_ups_text((ScoredConcept("dog", 0.25, 0.2), ScoredConcept("wolf", 0.125, 0.1)))
        'dog (0.25); wolf (0.125)'

    """
    return "; ".join(f"{concept.concept} ({concept.score:.4g})" for concept in runner_ups)


def specificity_text(found: LabelSpecificity | None) -> str:
    """Return on which side a label errs as people read it: with the relative that describes the neuron better.

    Args:
        found: What was found of the label, if anything.

    Example:
        >>> from lightning_dissect.types import Relative
        >>> dog = Relative("dog", "parent", 0.5, 0.2, 0.1, 0.3)
        >>> specificity_text(LabelSpecificity("beagle", "too specific", 0.3, dog, None, None))
        'too specific (dog)'

    """
    if found is None:
        return ""
    better = {"too specific": found.parent, "too generic": found.child, "beside": found.sibling}.get(found.verdict)
    return found.verdict if better is None else f"{found.verdict} ({better.name})"


def layer_rows(report: DissectionReport) -> list[dict[str, Any]]:
    """Return one row per layer, with the keys of `layer_columns` in their order: whole counts and means.

    Args:
        report: The dissection.

    Example:
        >>> from lightning_dissect.types import LayerDissection
        >>> layer = LayerDissection("fc", (NeuronLabel("fc", 0, "labelled", (ScoredConcept("cat", 0.5, 0.4),)),))
        >>> [row] = layer_rows(DissectionReport(epoch=1, step=8, cycle=1, layers=(layer,), num_images=9))
        >>> row["layer"], row["labelled"], row["quality"]
        ('fc', 1, 0.4)

    """
    whole = {
        *(f"{metric.name}_undefined" for metric in report.label_metrics),
        *(f"{evaluator.name}_evaluated" for evaluator in report.evaluators),
    }
    rows = []
    for layer in report.layers:
        metrics = layer.metrics
        quality = metrics.pop("quality")
        judged = judged_values(report, layer.neurons)
        rows.append(
            {
                "epoch": report.epoch,
                "step": report.step,
                "cycle": report.cycle,
                "layer": layer.layer,
                **{name: int(value) for name, value in metrics.items()},
                "quality": quality,
                **{name: int(value) if name in whole else value for name, value in judged.items()},
            }
        )
    return rows
