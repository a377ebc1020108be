"""Metrics that a user has chosen: their names, and what reports must know of them."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from itertools import combinations
from typing import Any

from lightning_dissect.metrics.base import METRICS, NeuronMetric
from lightning_dissect.metrics.sanity import Subject
from lightning_dissect.types import STATUSES, MetricDescription

RESERVED = frozenset(
    {
        *("layer", "unit", "label", "score", "quality", "quality_low", "quality_high", "q_chance", "q_untrained"),
        *("contenders", "runner_ups", "status", "specificity", "epoch", "step", "cycle", "neurons", "distinct_labels"),
        *STATUSES,
        *(f"{status}_share" for status in STATUSES),
        *("too_specific_share", "too_generic_share", "trust", "montage", "top_images", "report"),
    }
)
"""Names that keys and columns of reports have already."""

UNTOLD = ("max_bytes",)
"""Parameters of which no score depends."""


def chosen_metrics(metrics: Sequence[str | NeuronMetric]) -> tuple[Subject, ...]:
    """Return metrics with the names that keys and columns of reports call them by.

    A metric is called as it is registered, by name or by its class; the class of another object gives its name in snake
    case. Where several are called the same, the parameters in which they differ are added.

    Args:
        metrics: Registered names or objects.

    Raises:
        ValueError:
            If a name is not registered, means something else in reports, or is that of two metrics which nothing
            tells apart.
        TypeError:
            If ``metrics`` is no sequence, or one of them has no method ``score``.

    Example:
        >>> from lightning_dissect.metrics import AUPRC
        >>> [metric.name for metric in chosen_metrics(["recall", AUPRC(alpha=0.05), AUPRC()])]
        ['recall', 'auprc_alpha_0_05', 'auprc_alpha_0_01']

    """
    if isinstance(metrics, str) or not isinstance(metrics, Sequence):
        raise TypeError(f"Expected `metrics` to be a list of names or objects but got {metrics!r}.")
    found = [METRICS.resolve(spec) for spec in metrics]
    for metric in found:
        if isinstance(metric, type) or not isinstance(metric, NeuronMetric):
            raise TypeError(f"Expected `metrics` to be objects with a method `score` but got {metric!r}.")
    names = [_plain_name(spec, metric) for spec, metric in zip(metrics, found, strict=True)]
    alike = {name for name, count in Counter(names).items() if count > 1}
    for shared in alike:
        places = [place for place, name in enumerate(names) if name == shared]
        for place, suffix in zip(places, _differences([found[place] for place in places]), strict=True):
            names[place] += suffix
    _check_distinct(names)
    return tuple(map(Subject, names, found))


def describe_metric(subject: Subject) -> MetricDescription:
    """Return what reports must know of a metric; of one that states no traits nothing is known but its name.

    Args:
        subject: The metric with its name.

    Example:
        >>> [accuracy] = chosen_metrics(["accuracy"])
        >>> describe_metric(accuracy).form, len(describe_metric(accuracy).failures)
        ('Accuracy(alpha=0.01)', 2)

    """
    metric = subject.metric
    low, high = getattr(metric, "score_range", (-float("inf"), float("inf")))
    return MetricDescription(
        name=subject.name,
        form=_form(metric),
        higher_is_better=getattr(metric, "higher_is_better", True),
        score_range=(float(low), float(high)),
        passes_missing_labels=getattr(metric, "passes_missing_labels", None),
        passes_extra_labels=getattr(metric, "passes_extra_labels", None),
        note=subject.note,
    )


def passing_metrics() -> list[str]:
    """Return the registered metrics that pass both sanity checks, by name.

    Example:
        >>> passing_metrics()[:3]
        ['auprc', 'combined_auc', 'combined_balanced_accuracy']

    """
    traits = {name: METRICS.resolve(name) for name in METRICS}
    tests = ("passes_missing_labels", "passes_extra_labels")
    return [name for name, metric in traits.items() if all(getattr(metric, test, False) for test in tests)]


def _plain_name(spec: str | NeuronMetric, metric: NeuronMetric) -> str:
    name = spec if isinstance(spec, str) else METRICS.name_of(metric) or _snake_case(type(metric).__name__)
    return re.sub(r"[^A-Za-z0-9_]", "_", name)


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _differences(metrics: Sequence[NeuronMetric]) -> list[str]:
    """Return for each metric of one name the parameters in which it differs from the others."""
    parameters = [_parameters(metric) for metric in metrics]
    differing = [
        key
        for key in dict.fromkeys(key for each in parameters for key in each)
        if any(one.get(key) != other.get(key) for one, other in combinations(parameters, 2))
    ]
    texts = ("".join(f"_{key}_{each[key]}" for key in differing if key in each) for each in parameters)
    return [re.sub(r"[^A-Za-z0-9_]", "_", text) for text in texts]


def _parameters(metric: object) -> dict[str, Any]:
    if not is_dataclass(metric):
        return {}
    return {field.name: getattr(metric, field.name) for field in fields(metric) if field.name not in UNTOLD}


def _form(metric: object) -> str:
    if not is_dataclass(metric):
        return type(metric).__name__
    return f"{type(metric).__name__}({', '.join(f'{key}={value!r}' for key, value in _parameters(metric).items())})"


def _check_distinct(names: Sequence[str]) -> None:
    keys = Counter(key for name in names for key in (name, f"{name}_undefined"))
    repeated = [key for key, count in keys.items() if count > 1]
    if repeated:
        raise ValueError(
            f"Expected `metrics` to have distinct names but got {repeated[0]!r} more than once. "
            "Leave one out, or register the classes under names of their own."
        )
    taken = [name for name in names if name in RESERVED]
    if taken:
        raise ValueError(
            f"Expected `metrics` to have names that reports do not use but got {taken[0]!r}. "
            "Register its class under another name."
        )
