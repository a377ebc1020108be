"""The self-contained HTML page of a dissection."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jinja2
import numpy as np

from lightning_dissect.report.judges import judge_data, judge_overviews
from lightning_dissect.report.plain_number import plain_number
from lightning_dissect.report.rows import specificity_text
from lightning_dissect.report.self_contained import page_environment
from lightning_dissect.report.thumbnails import thumbnails
from lightning_dissect.types import (
    STATUSES,
    DissectionReport,
    LabelSpecificity,
    LayerDissection,
    MetricDescription,
    NeuronLabel,
    summarise_metrics,
)

BINS = 28
FREQUENT_LABELS = 8
METRIC_COLUMNS = 3


@dataclass(frozen=True)
class LayerOverview:
    """What the page says of one layer before its neurons.

    Args:
        layer: Full module name of the layer.
        metrics: The numbers of `LayerDissection.metrics`.
        histogram: Height of each bar of the distribution of quality, the highest of the layer is 1.
        mean_position: Where the mean quality stands on the axis of the histogram, in ``[0, 1]``; NaN if there is none.
        frequent: The most frequent labels with the number of neurons that have them, most frequent first.
        judged: For each metric its mean, how many labels it says nothing of, and why.

    """

    layer: str
    metrics: dict[str, float]
    histogram: tuple[float, ...]
    mean_position: float
    frequent: tuple[tuple[str, int], ...]
    judged: tuple[tuple[MetricDescription, float, int, str], ...] = ()


def render_page(report: DissectionReport, image_budget: int = 8_000_000) -> str:
    """Return the page: one HTML document that needs no network and shows every label as text.

    The page's own policy (Content-Security-Policy) admits one script, named by its hash, and no request at all. The
    table of neurons is built by the reader's browser, so many rows at a time as are looked at.

    Args:
        report: The dissection.
        image_budget: Most characters that images may take, see `thumbnails`.

    Example:
        >>> page = render_page(DissectionReport(epoch=2, step=90, cycle=2, layers=(), num_images=10))
        >>> page.startswith("<!doctype html>"), "<title>Neurons · epoch 2" in page
        (True, True)

    """
    images = thumbnails(report, image_budget)
    top = {image.sample_id for neuron in report.neurons for image in neuron.top_images}
    judged = (neuron for neuron in report.neurons if neuron.evaluations)
    others = {image.sample_id for neuron in judged for image in neuron.judged_images} - top
    low, high = _quality_axis(report.neurons)
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            report=report,
            totals=report.metrics,
            overviews=[layer_overview(layer, low, high, report.label_metrics) for layer in report.layers],
            columns=report.label_metrics[:METRIC_COLUMNS],
            judged=any(neuron.trust for neuron in report.neurons),
            low=low,
            high=high,
            data=page_data(report, images),
            has_specificity=any(neuron.specificity is not None for neuron in report.neurons),
            judges=judge_overviews(report),
            missing_images=len(top - images.keys()),
            missing_judged=len(others - images.keys()),
        )
    )


def page_data(report: DissectionReport, images: dict[int, str]) -> dict[str, Any]:
    """Return what the page's script builds the table from, as plain values that JSON can hold.

    Args:
        report: The dissection.
        images: Base64 of JPEG by sample id.

    Returns:
        ``layers``, ``statuses`` and ``concepts`` as lists of texts, ``images``, and one list per neuron: index of the
        layer, unit, index of the status, ``[index of the concept, score, quality]`` per candidate, ``[sample id,
        activation]`` per top image, how far to trust the label, ``[low, high, q_chance, q_untrained, explained, places
        of the contenders among the candidates]``, empty where it was not judged, and what is known of the specificity,
        if anything: verdict, what reports call it, correlation, and name, relation, correlation, low and high end of
        the difference of each relative. ``metrics`` says of each metric its name, whether higher is better and which
        sanity checks it fails, ``values`` what each says of each neuron's label, ``judges`` what evaluators say, see
        `judge_data`. A number that is not finite is ``None``.

    """
    concepts: dict[str, int] = {}
    neurons = [
        [
            index,
            neuron.unit,
            STATUSES.index(neuron.status),
            [
                [concepts.setdefault(item.concept, len(concepts)), plain_number(item.score), plain_number(item.quality)]
                for item in neuron.candidates
            ],
            [[top.sample_id, plain_number(top.activation)] for top in neuron.top_images],
            _trust_data(neuron),
            _specificity(neuron.specificity),
        ]
        for index, layer in enumerate(report.layers)
        for neuron in layer.neurons
    ]
    return {
        "layers": [layer.layer for layer in report.layers],
        "statuses": [status_name(status) for status in STATUSES],
        "concepts": list(concepts),
        "images": {str(sample_id): text for sample_id, text in images.items()},
        "neurons": neurons,
        "metrics": [
            {"name": metric.name, "higher": metric.higher_is_better, "failures": metric.failures}
            for metric in report.label_metrics
        ],
        "values": [
            [plain_number(neuron.metrics.get(metric.name, math.nan)) for metric in report.label_metrics]
            for neuron in report.neurons
        ],
        "judges": judge_data(report),
    }


def _trust_data(neuron: NeuronLabel) -> list[Any]:
    if neuron.trust is None:
        return []
    numbers = (*neuron.trust.interval, neuron.trust.q_chance, neuron.trust.q_untrained, neuron.trust.explained)
    places = [place for place, item in enumerate(neuron.candidates) if item.concept in neuron.trust.contenders]
    return [*map(plain_number, numbers), places]


def status_name(status: str) -> str:
    """Return a status as people read it.

    Example:
        >>> status_name("no_clear_function"), status_name("non_finite")
        ('no clear function', 'non-finite')

    """
    return status.replace("non_", "non-").replace("_", " ")


def layer_overview(
    layer: LayerDissection, low: float, high: float, judges: Sequence[MetricDescription] = ()
) -> LayerOverview:
    """Summarise a layer for the page.

    Args:
        layer: The layer.
        low: Lower end of the axis of quality.
        high: Upper end of it.
        judges: The metrics that judged the labels.

    """
    qualities = _qualities(layer.neurons)
    counts = np.histogram(qualities, bins=BINS, range=(low, high))[0]
    metrics = layer.metrics
    labels = Counter(neuron.label for neuron in layer.neurons if neuron.label)
    return LayerOverview(
        layer=layer.layer,
        metrics=metrics,
        histogram=tuple(float(count) / max(1, int(counts.max())) for count in counts),
        mean_position=(metrics["quality"] - low) / (high - low),
        frequent=tuple(labels.most_common(FREQUENT_LABELS)),
        judged=_judged(layer, judges),
    )


def _judged(
    layer: LayerDissection, metrics: Sequence[MetricDescription]
) -> tuple[tuple[MetricDescription, float, int, str], ...]:
    summary = summarise_metrics(layer.neurons, [metric.name for metric in metrics])
    found = []
    for metric in metrics:
        reasons = layer.undefined.get(metric.name, {})
        why = "; ".join(f"{count} because {reason}" for reason, count in reasons.items())
        found.append((metric, summary[metric.name], int(summary[f"{metric.name}_undefined"]), why))
    return tuple(found)


def _qualities(neurons: tuple[NeuronLabel, ...]) -> list[float]:
    return [neuron.quality for neuron in neurons if math.isfinite(neuron.quality)]


def _quality_axis(neurons: tuple[NeuronLabel, ...]) -> tuple[float, float]:
    qualities = _qualities(neurons) or [0.0, 1.0]
    low = math.floor(min(0.0, *qualities) * 10) / 10
    return low, max(math.ceil(max(qualities) * 10) / 10, low + 0.1)


def _specificity(found: LabelSpecificity | None) -> list[Any] | None:
    if found is None:
        return None
    relatives = [
        [relative.name, relative.relation, *map(plain_number, (relative.correlation, relative.low, relative.high))]
        for relative in (found.parent, found.child, found.sibling)
        if relative is not None
    ]
    return [found.verdict, specificity_text(found), plain_number(found.correlation), relatives]


def _environment() -> jinja2.Environment:
    return page_environment("report", "page", "report/components", "report/elements", "report/judges", "report/listing")
