"""A report as scalars, those that checkpoints and early stopping can monitor."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping

from lightning_dissect.fingerprint import fingerprint
from lightning_dissect.label_evaluation import RATES, EvaluatorDescription
from lightning_dissect.types import (
    NAN,
    STATUSES,
    DissectionReport,
    NeuronLabel,
    summarise,
    summarise_evaluators,
    summarise_metrics,
)

STATUS_SHARES = {status: f"{status}_share" for status in STATUSES}
"""What the share of the neurons of a status is called."""

VERDICT_SHARES = {"too specific": "too_specific_share", "too generic": "too_generic_share"}
"""What the share of the labels that err on a side is called."""


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
    ``<metric>`` is each of the metrics that judged the labels. The last two are there only where the vocabulary has a
    hierarchy. Each evaluator that looked at images adds, over the neurons whose label it judged:

    ==================================  ========================================================================
    ``<at><evaluator>_rate``            share of labels that it says yes to, in ``[0, 1]`` like all but the last
    ``<at><evaluator>_shuffled_rate``   the same for labels of other neurons: what ``_rate`` must be held up to
    ``<at><evaluator>_precision``       share of the most activating images that show what the label says
    ``<at><evaluator>_recall``          share of the images that show it which are among the most activating
    ``<at><evaluator>_control_rate``    share that shows it of the images that only look like top images
    ``<at><evaluator>_discrimination``  share of labels that fit better than those of other neurons
    ``<at><evaluator>_evaluated``       neurons whose label it judged
    ==================================  ========================================================================

    They are NaN, the last 0, where it judged none.

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
    values = _scalars(report, report.neurons, f"{report.name}/")
    for layer in report.layers:
        values |= _scalars(report, layer.neurons, f"{report.name}/{keys[layer.layer]}/")
    return values


def values_of_evaluators(values: Mapping[str, float], evaluators: Iterable[EvaluatorDescription]) -> dict[str, float]:
    """Return those scalars of a dissection that evaluators made.

    Args:
        values: What `metric_values` returned.
        evaluators: The evaluators.

    Example:
        >>> values = {"dissection/fc/quality": 0.5, "dissection/fc/vqa_rate": 0.9}
        >>> values_of_evaluators(values, [EvaluatorDescription("vqa")])
        {'dissection/fc/vqa_rate': 0.9}

    """
    names = {f"{evaluator.name}_{rate}" for evaluator in evaluators for rate in RATES}
    return {key: value for key, value in values.items() if key.rpartition("/")[2] in names}


def judged_values(report: DissectionReport, neurons: tuple[NeuronLabel, ...]) -> dict[str, float]:
    """Average what the metrics and the evaluators of a dissection say of labels.

    Args:
        report: The dissection.
        neurons: Any of its neurons.

    Returns:
        For each metric what `summarise_metrics` says, then for each evaluator what `summarise_evaluators` says, under
        ``<evaluator>_<rate>``.

    Example:
        >>> from lightning_dissect.types import MetricDescription
        >>> report = DissectionReport(0, 0, 0, (), 9, label_metrics=(MetricDescription("f1"),))
        >>> judged_values(report, ())
        {'f1': nan, 'f1_undefined': 0.0}

    """
    rates = summarise_evaluators(neurons, [evaluator.name for evaluator in report.evaluators])
    return summarise_metrics(neurons, [metric.name for metric in report.label_metrics]) | {
        f"{name}_{rate}": value for name, summary in rates.items() for rate, value in summary.items()
    }


def _scalars(report: DissectionReport, neurons: tuple[NeuronLabel, ...], prefix: str) -> dict[str, float]:
    metrics = summarise(neurons)
    total = metrics.pop("neurons")
    for status, share in STATUS_SHARES.items():
        metrics[share] = metrics[status] / total if total else NAN
    verdicts = [neuron.specificity.verdict for neuron in neurons if neuron.specificity is not None]
    for verdict, share in VERDICT_SHARES.items() if verdicts else ():
        metrics[share] = sum(found == verdict for found in verdicts) / len(verdicts)
    metrics |= judged_values(report, neurons)
    return {f"{prefix}{name}": value for name, value in metrics.items()}
