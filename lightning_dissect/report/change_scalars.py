"""What has changed since the last dissection, as scalars."""

from collections.abc import Iterable, Mapping

from lightning_dissect.history import ALL_LAYERS, CURVES
from lightning_dissect.report.scalars import key_names
from lightning_dissect.types import NAN, DissectionReport

CHANGES = tuple(name for name in CURVES if name not in {"coverage", "quality", "labelled_share", "dead_share"})
"""The curves that are logged; the others are among the scalars of the dissection itself."""


def change_values(report: DissectionReport, values: Mapping[str, Mapping[str, float]], alarms: int) -> dict[str, float]:
    """Return the scalars that say what has changed, to be logged and monitored.

    ``<at>`` is as in `metric_values`. Of the neurons that had a reliable label, which is labelled or ambiguous, at the
    dissection before and have one now:

    ============================  ==============================================================================
    ``<at>churn``                 share whose best candidate is another one, in ``[0, 1]``
    ``<at>churn_floor``           least churn to expect of the same weights on two probes of other images
    ``<at>changed_share``         share of which no contender before can be a contender now
    ``<at>semantic_churn``        mean distance of the embeddings of both labels, 1 - cosine, 0 for the same label
    ``<at>semantic_churn_floor``  the same to expect of the same weights on two probes of other images
    ============================  ==============================================================================

    Of concepts, neurons and the run so far, where ``<at>distinct_labels`` is the number of concepts covered:

    ======================  ====================================================================================
    ``<at>gained``          reliable labels that no neuron had before
    ``<at>lost``            reliable labels before that no neuron has now
    ``<at>births``          neurons that have a reliable label for the first time in the run
    ``<at>deaths``          neurons that are dead now and were not before
    ``<at>resurrected``     neurons that were dead before and are alive now
    ``<at>settled_share``   share of the reliable labels that held through three dissections
    ``<at>half_life``       optimiser steps after which half of the labels given so far are gone
    ``<name>/alarms``       alarms that the dissection raised
    ======================  ====================================================================================

    All but ``alarms`` are NaN where there is nothing to compare with: at the first dissection, ``settled_share`` at the
    second too, ``half_life`` while more than half of the labels live.

    Args:
        report: The dissection.
        values: What `lightning_dissect.history.RunObserver` says of it, by layer.
        alarms: How many alarms it raised.

    Example:
        >>> report = DissectionReport(0, 0, 0, (), num_images=9)
        >>> values = change_values(report, {"": {"churn": 0.25}}, alarms=0)
        >>> values["dissection/churn"], values["dissection/lost"], values["dissection/alarms"]
        (0.25, nan, 0.0)

    """
    keys = key_names(layer.layer for layer in report.layers)
    changes = {
        f"{report.name}/{prefix}{name}": values.get(layer, {}).get(name, NAN)
        for layer, prefix in ((ALL_LAYERS, ""), *((layer, f"{key}/") for layer, key in keys.items()))
        for name in CHANGES
    }
    return changes | {f"{report.name}/alarms": float(alarms)}


def early_stop_warnings(monitors: Iterable[object], name: str) -> list[str]:
    """Return a warning for each object that would stop a run because nothing has changed yet.

    Args:
        monitors: Any objects. Those with a text ``monitor`` and a true ``check_finite``, as `EarlyStopping` has, stop
            the run where that key is NaN.
        name: First part of our keys.

    Example:
        >>> from types import SimpleNamespace
        >>> early_stop_warnings([SimpleNamespace(monitor="dissection/fc/churn", check_finite=True)], "dissection")
        ["SimpleNamespace stops at the first validation, where 'dissection/fc/churn' is NaN. Set check_finite=False."]

    """
    return [
        f"{type(monitor).__name__} stops at the first validation, where {key!r} is NaN. Set check_finite=False."
        for monitor in monitors
        if getattr(monitor, "check_finite", False) and isinstance(key := getattr(monitor, "monitor", None), str)
        if key.startswith(f"{name}/") and key.rpartition("/")[2] in CHANGES
    ]
