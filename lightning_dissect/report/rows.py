"""A report as rows for tables and as scalars for loggers."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from lightning_dissect.fingerprint import fingerprint
from lightning_dissect.types import NAN, DissectionReport, NeuronLabel, ScoredConcept, summarise, summarise_metrics

NEURON_COLUMNS = ("layer", "unit", "label", "score", "quality", "runner_ups", "status", "epoch", "step")
"""The columns of `neuron_rows`, in order; those of `DissectionReport.label_metrics` follow ``quality``."""

LAYER_COLUMNS = (
    "epoch",
    "step",
    "cycle",
    "layer",
    "neurons",
    "labelled",
    "dead",
    "non_finite",
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

    ``score``, ``quality`` and metrics are NaN for a neuron without a label; ``runner_ups`` is a text for people.

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
            "runner_ups": runner_ups_text(neuron.runner_ups),
            "status": neuron.status,
            "epoch": report.epoch,
            "step": report.step,
        }
        for neuron in (report.neurons if neurons is None else neurons)
    ]


def runner_ups_text(runner_ups: Sequence[ScoredConcept]) -> str:
    """Return runner-ups as people read them: each with its score, best first.

    Example:
        >>> runner_ups_text((ScoredConcept("dog", 0.25, 0.2), ScoredConcept("wolf", 0.125, 0.1)))
        'dog (0.25); wolf (0.125)'

    """
    return "; ".join(f"{concept.concept} ({concept.score:.4g})" for concept in runner_ups)


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

    ===========================  ==================================================================================
    ``<at>quality``              mean quality of the labelled neurons, in ``[-1, 1]``; NaN if no neuron is labelled
    ``<at>labelled``             neurons with a label
    ``<at>labelled_share``       the same as a share of all neurons, in ``[0, 1]``
    ``<at>dead``                 neurons with the same activation on every image
    ``<at>dead_share``           the same as a share of all neurons, in ``[0, 1]``
    ``<at>non_finite``           neurons with an activation that is NaN or infinite
    ``<at>distinct_labels``      different labels among the labelled neurons
    ``<at><metric>``             mean of a metric over the neurons where it is finite; NaN if it is nowhere
    ``<at><metric>_undefined``   neurons with a label of which that metric says nothing
    ===========================  ==================================================================================

    Shares of no neurons are NaN. ``<metric>`` is each of the metrics that judged the labels.

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
    for name in ("labelled", "dead"):
        metrics[f"{name}_share"] = metrics[name] / total if total else float("nan")
    metrics |= summarise_metrics(neurons, judges)
    return {f"{prefix}{name}": value for name, value in metrics.items()}
