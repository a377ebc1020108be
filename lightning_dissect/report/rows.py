"""A report as rows for tables and as scalars for loggers."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from lightning_dissect.fingerprint import fingerprint
from lightning_dissect.types import (
    NAN,
    STATUSES,
    DissectionReport,
    LabelSpecificity,
    LabelTrust,
    NeuronLabel,
    ScoredConcept,
    summarise,
    summarise_metrics,
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
"""The columns of `neuron_rows`, in order; those of `DissectionReport.label_metrics` follow ``quality``."""

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
"""The columns of `layer_rows`, in order; means and numbers of undefined scores of the metrics follow ``quality``."""


def neuron_columns(report: DissectionReport) -> tuple[str, ...]:
    """Return the columns of `neuron_rows`, one per metric among them.

    Args:
        report: The dissection.

    """
    return _after_quality(NEURON_COLUMNS, [metric.name for metric in report.label_metrics])


def layer_columns(report: DissectionReport) -> tuple[str, ...]:
    """Return the columns of `layer_rows`, two per metric among them.

    Args:
        report: The dissection.

    """
    names = [name for metric in report.label_metrics for name in (metric.name, f"{metric.name}_undefined")]
    return _after_quality(LAYER_COLUMNS, names)


def _after_quality(columns: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    place = columns.index("quality") + 1
    return (*columns[:place], *names, *columns[place:])


def neuron_rows(report: DissectionReport, neurons: Iterable[NeuronLabel] | None = None) -> list[dict[str, Any]]:
    """Return one row per neuron, with the keys of `neuron_columns` in their order.

    The label is empty where it is withheld; ``score``, ``quality`` and all that says how far to trust it are then those
    of the best candidate. They and metrics are NaN for a neuron without candidates, and where trust was not judged.
    ``contenders`` names the candidates that may be the best, ``runner_ups`` those after the best, with their scores,
    ``specificity`` whether the label says too much or too little, if the vocabulary has a hierarchy; these three are
    texts for people.

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
            **_trust_cells(neuron.trust),
            "runner_ups": runner_ups_text(neuron.runner_ups),
            "status": neuron.status,
            "specificity": specificity_text(neuron.specificity),
            "epoch": report.epoch,
            "step": report.step,
        }
        for neuron in (report.neurons if neurons is None else neurons)
    ]


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
    rows = []
    for layer in report.layers:
        metrics = layer.metrics
        quality = metrics.pop("quality")
        counts = {name: int(value) for name, value in metrics.items()}
        judged = summarise_metrics(layer.neurons, [metric.name for metric in report.label_metrics])
        rows.append(
            {
                "epoch": report.epoch,
                "step": report.step,
                "cycle": report.cycle,
                "layer": layer.layer,
                **counts,
                "quality": quality,
                **{name: int(value) if name.endswith("_undefined") else value for name, value in judged.items()},
            }
        )
    return rows


def key_name(layer: str) -> str:
    """Return a layer's name as loggers can sort by it: every character but letters, digits and ``_`` becomes ``_``.

    Args:
        layer: Full module name; the empty name of the model itself becomes ``_``.

    Example:
        >>> key_name("encoder.layers.3")
        'encoder_layers_3'

    """
    return re.sub(r"[^A-Za-z0-9_]", "_", layer) or "_"


def key_names(layers: Iterable[str]) -> dict[str, str]:
    """Return the key of every layer, with distinct keys for distinct layers.

    Layers whose `key_name` is the same, such as ``a.b`` and ``a_b``, get eight hexadecimal digits that depend on their
    own name only, so that keys stay the same from one dissection to the next.

    Args:
        layers: Full module names.

    Example:
        >>> key_names(["layer3", "layer4.1"])
        {'layer3': 'layer3', 'layer4.1': 'layer4_1'}

    """
    names = dict.fromkeys(layers)
    shared = Counter(key_name(name) for name in names)
    return {
        name: key_name(name) if shared[key_name(name)] == 1 else f"{key_name(name)}_{fingerprint(name)[:8]}"
        for name in names
    }


def metric_values(report: DissectionReport) -> dict[str, float]:
    """Return the scalars of a dissection, those that checkpoints and early stopping can monitor.

    ``<at>`` is ``<name>/<layer>/`` for each layer (the report's name, the layer as in `key_names`), and ``<name>/`` for
    all layers together:

    ==========================  ================================================================================
    ``<at>quality``             mean quality of the best candidates, in ``[-1, 1]``; NaN if no neuron has one
    ``<at>labelled``            neurons with one label that is best
    ``<at>ambiguous``           neurons of which several labels may be the best
    ``<at>no_clear_function``   neurons whose label is withheld: chance or an untrained network would do as well
    ``<at>dead``                neurons with the same activation on every image
    ``<at>non_finite``          neurons with an activation that is NaN or infinite
    ``<at>distinct_labels``     different labels that are not withheld
    ``<at><metric>``            mean of a metric over the neurons where it is finite; NaN if it is nowhere
    ``<at><metric>_undefined``  neurons with a best candidate of which that metric says nothing
    ``<at>too_specific_share``  labels whose superclass describes the neuron better, as a share of those judged
    ``<at>too_generic_share``   labels of which a subclass describes the neuron better, likewise
    ==========================  ================================================================================

    Each count of neurons has a ``<at>..._share`` beside it, a share of all neurons in ``[0, 1]``, NaN of no neurons.
    ``<metric>`` is each of the metrics
    that judged the labels. The last two are there only where the vocabulary has a hierarchy.

    Args:
        report: The dissection.

    Example:
        >>> from lightning_dissect.types import LayerDissection
        >>> layer = LayerDissection("layer4.1", (NeuronLabel("layer4.1", 0, "dead"),))
        >>> values = metric_values(DissectionReport(epoch=0, step=0, cycle=0, layers=(layer,), num_images=9))
        >>> values["dissection/layer4_1/dead"], values["dissection/dead_share"]
        (1.0, 1.0)

    """
    keys = key_names(layer.layer for layer in report.layers)
    judges = [metric.name for metric in report.label_metrics]
    values = _scalars(report.neurons, judges, f"{report.name}/")
    for layer in report.layers:
        values |= _scalars(layer.neurons, judges, f"{report.name}/{keys[layer.layer]}/")
    return values


def _scalars(neurons: tuple[NeuronLabel, ...], judges: Sequence[str], prefix: str) -> dict[str, float]:
    metrics = summarise(neurons)
    total = metrics.pop("neurons")
    for name in STATUSES:
        metrics[f"{name}_share"] = metrics[name] / total if total else NAN
    verdicts = [neuron.specificity.verdict for neuron in neurons if neuron.specificity is not None]
    for verdict in ("too specific", "too generic") if verdicts else ():
        metrics[f"{verdict.replace(' ', '_')}_share"] = verdicts.count(verdict) / len(verdicts)
    metrics |= summarise_metrics(neurons, judges)
    return {f"{prefix}{name}": value for name, value in metrics.items()}
