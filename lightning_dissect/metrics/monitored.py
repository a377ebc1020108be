"""Warnings about what training is steered by: metrics that fail a sanity check, and the wrong direction."""

import re
from collections.abc import Iterable

from lightning_dissect.metrics.chosen import passing_metrics
from lightning_dissect.types import MetricDescription

QUALITY = MetricDescription("quality", passes_missing_labels=True, passes_extra_labels=True)
"""The quality of labels, a Pearson correlation, which is logged beside the metrics."""


def monitor_warnings(monitors: Iterable[object], metrics: Iterable[MetricDescription], name: str) -> list[str]:
    """Return what speaks against monitoring our keys as some objects do.

    Args:
        monitors: Any objects. Those with a text ``monitor`` monitor that key; their ``mode``, if they have one, is
            ``"min"`` or ``"max"``.
        metrics: The metrics that are logged.
        name: First part of their keys.

    Returns:
        One text per key and complaint.

    Example:
        >>> from types import SimpleNamespace
        >>> quality = SimpleNamespace(monitor="dissection/layer4/quality", mode="min")
        >>> monitor_warnings([quality], [], "dissection")
        ["SimpleNamespace keeps the lowest 'dissection/layer4/quality' but higher is better. Set mode='max'."]

    """
    known = {metric.name: metric for metric in (QUALITY, *metrics)}
    warnings = []
    for monitor in monitors:
        key = getattr(monitor, "monitor", None)
        match = re.fullmatch(rf"{re.escape(name)}/(?:[^/]+/)?([^/]+)", key) if isinstance(key, str) else None
        if match is not None and match[1] in known:
            who, metric = type(monitor).__name__, known[match[1]]
            warnings += [*_failure(who, match[0], metric), *_direction(who, match[0], metric, monitor)]
    return list(dict.fromkeys(warnings))


def _failure(who: str, key: str, metric: MetricDescription) -> list[str]:
    if not metric.failures:
        return []
    passing = ", ".join(passing_metrics())
    return [
        f"{who} monitors {key!r}, whose metric {' and '.join(metric.failures)}. These pass both tests: {passing}, "
        "and quality, which is logged in any case."
    ]


def _direction(who: str, key: str, metric: MetricDescription, monitor: object) -> list[str]:
    better, mode = ("higher", "max") if metric.higher_is_better else ("lower", "min")
    if getattr(monitor, "mode", mode) not in {"min", "max"} - {mode}:
        return []
    kept = "lowest" if metric.higher_is_better else "highest"
    return [f"{who} keeps the {kept} {key!r} but {better} is better. Set mode={mode!r}."]
