"""What metrics say of the labels."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from lightning_dissect.checks import check_positive
from lightning_dissect.labelling.label_table import LabelTable
from lightning_dissect.metrics import NeuronMetric, chosen_metrics, describe_metric
from lightning_dissect.metrics.sanity import Subject, own_scores, tunable_fields
from lightning_dissect.metrics.undefined import REASONS, undefined_reasons
from lightning_dissect.presence import PresenceSource, fixed_width_columns
from lightning_dissect.types import LayerDissection

BYTES_PER_PAIR = 32
"""Most bytes per image that a neuron and its label take: both columns, what they are taken from, what is wrong."""

COLUMNS_AT_ONCE = 64
"""Concepts whose presence is computed at once."""


class MetricJudge:
    """Scores the label of each neuron by metrics of the user's choice.

    A neuron without a label is not judged. The best candidate is judged even where it is withheld.

    Args:
        metrics: Metrics by registered name or as objects, see `chosen_metrics`.
        max_bytes: Most bytes that intermediate results may take, those of the metrics included; a metric of one's own
            answers for itself.

    Raises:
        ValueError:
            If a metric's name is unknown, taken or used twice, or ``max_bytes`` is not positive.
        TypeError:
            If something has no method ``score``.

    Example:
        >>> [description.name for description in MetricJudge(["auprc", "recall"]).descriptions]
        ['auprc', 'recall']

    """

    def __init__(self, metrics: Sequence[str | NeuronMetric] = (), max_bytes: int = 2**26) -> None:
        check_positive("max_bytes", max_bytes)
        self.max_bytes = max_bytes
        chosen = chosen_metrics(metrics)
        self.descriptions = tuple(map(describe_metric, chosen))
        self._subjects = [_within(subject, max(1, max_bytes // 2)) for subject in chosen]

    def judged(self, table: LabelTable, activations: Tensor, presence: PresenceSource) -> LabelTable:
        """Return a table with the scores of its labels; those of a neuron do not depend on which others are there.

        Args:
            table: Labels of some neurons.
            activations: Pooled activations of these neurons, shape ``(images, neurons)``.
            presence: Presence of the concepts in the images.

        Raises:
            ValueError:
                If a metric does not return one score per neuron and concept.

        """
        labels = table.concepts[:, 0]
        values = torch.full((len(labels), len(self._subjects)), torch.nan, dtype=torch.float64)
        undefined = torch.full(values.shape, -1, dtype=torch.int8)
        width = max(1, self.max_bytes // (2 * BYTES_PER_PAIR * len(activations)))
        labelled = (labels >= 0).nonzero().flatten()
        for start in range(0, len(labelled) if self._subjects else 0, width):
            neurons = labelled[start : start + width]
            own = self._own_presence(presence, labels[neurons].to(activations.device))
            some = activations[:, neurons.to(activations.device)]
            for place, subject in enumerate(self._subjects):
                scores = own_scores(subject, subject.metric, some, own)
                values[neurons, place] = scores.cpu()
                undefined[neurons, place] = _reasons(subject, scores, some, own).cpu()
        return replace(table, metrics=values, undefined=undefined)

    def layer(self, name: str, table: LabelTable, concepts: Sequence[str]) -> LayerDissection:
        """Return a whole layer as a record.

        Args:
            name: Full module name of the layer.
            table: All its neurons, judged.
            concepts: Name of each concept.

        """
        names = [description.name for description in self.descriptions]
        counts = [Counter(REASONS[place] for place in column if place >= 0) for column in table.undefined.T.tolist()]
        undefined = {metric: dict(reasons) for metric, reasons in zip(names, counts, strict=True) if reasons}
        return LayerDissection(name, table.records(name, concepts, names), undefined)

    def _own_presence(self, presence: PresenceSource, labels: Tensor) -> Tensor:
        """Return the presence of each neuron's label, shape ``(images, neurons)``."""
        concepts, places = torch.unique(labels, return_inverse=True)
        width = max(1, min(COLUMNS_AT_ONCE, self.max_bytes // (2 * BYTES_PER_PAIR * presence.shape[0])))
        parts = [columns for _, columns in fixed_width_columns(presence, concepts, width)]
        return torch.cat(parts, dim=1)[:, places]


def _within(subject: Subject, max_bytes: int) -> Subject:
    """Return a metric that keeps to a number of bytes, if it can be told to."""
    if "max_bytes" not in tunable_fields(subject.metric):
        return subject
    limit = min(max_bytes, vars(subject.metric)["max_bytes"])
    return replace(subject, metric=replace(subject.metric, max_bytes=limit))  # type: ignore[type-var]


def _reasons(subject: Subject, scores: Tensor, activations: Tensor, presence: Tensor) -> Tensor:
    """Return why scores are undefined, see `undefined_reasons`; the defined ones cost nothing."""
    reasons = torch.full(scores.shape, -1, dtype=torch.int8, device=scores.device)
    missing = scores.isnan()
    if missing.any():
        alpha = vars(subject.metric)["alpha"] if "alpha" in tunable_fields(subject.metric) else None
        reasons[missing] = undefined_reasons(scores[missing], activations[:, missing], presence[:, missing], alpha)
    return reasons
