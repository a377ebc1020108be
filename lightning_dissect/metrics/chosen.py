"""Metrics that a user has chosen: their names, and what reports must know of them."""

from collections import Counter
from collections.abc import Sequence

from lightning_dissect.extension_names import extension_names, form_of
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
    names = extension_names(metrics, found, METRICS, UNTOLD)
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
        form=form_of(metric, UNTOLD),
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
