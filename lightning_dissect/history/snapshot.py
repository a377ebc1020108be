"""One dissection as columns: what a history keeps of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lightning_dissect.array_archive import Array, pack_arrays, unpack_arrays
from lightning_dissect.types import STATUSES, DissectionReport, NeuronLabel

SCHEMA = 1
"""Version of the form of the file; it grows when a reader of the old form would misread a new file."""

TRUST = ("q_chance", "q_untrained", "explained", "stability")
"""What is kept of `LabelTrust` beside its interval and its contenders."""

_PLAIN = ("epoch", "step", "cycle", "logger_step", "num_images", "name")
_ARRAYS = (
    *("layer", "unit", "status", "candidates", "scores", "qualities", "contenders", "interval"),
    *("top_images", "top_activations", "histograms", "activation_range"),
)
_YES, _NO, _NOT_JUDGED = 1, 0, -1


@dataclass(frozen=True, eq=False)
class Snapshot:
    """One dissection as columns, a row per neuron in the order of the report.

    Args:
        epoch: Epoch of the training, from 0.
        step: Optimiser steps taken so far.
        cycle: Number of dissections before this one in the same run.
        logger_step: Step under which loggers have it.
        num_images: Images of the probe.
        name: What tells this dissection from others of the same run.
        settings: What the numbers depend on.
        layers: Full module names, in the order of the report.
        concepts: The concepts that are candidates of some neuron.
        layer: Place of each neuron's layer among ``layers``, shape ``(neurons,)``, int32.
        unit: Index of each neuron within its layer, shape ``(neurons,)``, int32.
        status: Place of each neuron's status among `STATUSES`, shape ``(neurons,)``, uint8.
        candidates: Places among ``concepts``, best first, -1 where there is none, shape ``(neurons, candidates)``,
            int32.
        scores: Of the candidates, same shape, float32; NaN where there is none, here and below.
        qualities: Of the candidates, same shape, float32.
        contenders: Whether each candidate may be the best, same shape, bool.
        interval: Of the quality of the best candidate, shape ``(neurons, 2)``, float32.
        top_images: Sample ids, most activating first, shape ``(neurons, images)``, int64; -1 where there is none.
        top_activations: Activations on them, same shape, float32; NaN where there is none.
        histograms: Images in each bin between the least and the largest activation, shape ``(neurons, bins)``, int32.
        activation_range: Least and largest activation, shape ``(neurons, 2)``, float32.
        trust: Each of `TRUST`, shape ``(neurons,)``, float32.
        metrics: What each metric says of each label, shape ``(neurons,)``, float32.
        verdicts: What each evaluator says of each label, 1 for yes, 0 for no, -1 where it did not judge it, shape
            ``(neurons,)``, int8.
        embeddings: Direction of concepts, shape ``(dimensions,)``, float16, see `DissectionReport.concept_embeddings`;
            a file has only those that no earlier snapshot of the history has.

    Example:
        >>> from lightning_dissect.types import LayerDissection, ScoredConcept
        >>> neuron = NeuronLabel("fc", 7, "labelled", (ScoredConcept("cat", 0.5, 0.4),))
        >>> report = DissectionReport(2, 300, 1, (LayerDissection("fc", (neuron,)),), num_images=64)
        >>> snapshot = Snapshot.of(report)
        >>> snapshot.labels.tolist(), snapshot.quality.tolist()
        (['cat'], [0.4000000059604645])
        >>> Snapshot.read(snapshot.to_bytes()).epoch
        2

    """

    epoch: int
    step: int
    cycle: int
    logger_step: int
    num_images: int
    name: str
    settings: Mapping[str, str]
    layers: tuple[str, ...]
    concepts: tuple[str, ...]
    layer: Array
    unit: Array
    status: Array
    candidates: Array
    scores: Array
    qualities: Array
    contenders: Array
    interval: Array
    top_images: Array
    top_activations: Array
    histograms: Array
    activation_range: Array
    trust: Mapping[str, Array]
    metrics: Mapping[str, Array]
    verdicts: Mapping[str, Array]
    embeddings: Mapping[str, Array] = field(default_factory=dict)

    @classmethod
    def of(cls, report: DissectionReport) -> "Snapshot":
        """Return the columns of a report.

        Args:
            report: The dissection.

        """
        neurons = report.neurons
        concepts: dict[str, int] = {}
        names = [[concepts.setdefault(item.concept, len(concepts)) for item in n.candidates] for n in neurons]
        bins = [() if n.histogram is None else n.histogram.counts for n in neurons]
        ends = [() if n.histogram is None else (n.histogram.low, n.histogram.high) for n in neurons]
        return cls(
            epoch=report.epoch,
            step=report.step,
            cycle=report.cycle,
            logger_step=report.step if report.logger_step is None else report.logger_step,
            num_images=report.num_images,
            name=report.name,
            settings=dict(report.settings),
            layers=tuple(layer.layer for layer in report.layers),
            concepts=tuple(concepts),
            layer=np.repeat(np.arange(len(report.layers), dtype=np.int32), [len(of.neurons) for of in report.layers]),
            unit=np.array([neuron.unit for neuron in neurons], np.int32),
            status=np.array([STATUSES.index(neuron.status) for neuron in neurons], np.uint8),
            candidates=_table(names, -1, np.int32),
            scores=_table([[item.score for item in neuron.candidates] for neuron in neurons], np.nan, np.float32),
            qualities=_table([[item.quality for item in neuron.candidates] for neuron in neurons], np.nan, np.float32),
            contenders=_table([_contenders(neuron) for neuron in neurons], fill=False, dtype=np.bool_),
            interval=_table([n.trust.interval if n.trust else () for n in neurons], np.nan, np.float32, columns=2),
            top_images=_table([[top.sample_id for top in neuron.top_images] for neuron in neurons], -1, np.int64),
            top_activations=_table([[top.activation for top in n.top_images] for n in neurons], np.nan, np.float32),
            histograms=_table(bins, 0, np.int32),
            activation_range=_table(ends, np.nan, np.float32, columns=2),
            trust={name: _trust(neurons, name) for name in TRUST},
            metrics={
                metric.name: np.array([n.metrics.get(metric.name, np.nan) for n in neurons], np.float32)
                for metric in report.label_metrics
            },
            verdicts={
                judge.name: np.array([_verdict(neuron, judge.name) for neuron in neurons], np.int8)
                for judge in report.evaluators
            },
            embeddings={
                name: np.asarray(report.concept_embeddings[name], np.float16)
                for name in concepts
                if name in report.concept_embeddings
            },
        )

    def __len__(self) -> int:
        return len(self.unit)

    @property
    def quality(self) -> Array:
        """Quality of each neuron's best candidate, shape ``(neurons,)``, float32; NaN where there is none."""
        return _first(self.qualities, np.nan)

    @property
    def best(self) -> Array:
        """Place of each neuron's best candidate among ``concepts``, shape ``(neurons,)``, int32; -1 if it has none."""
        return _first(self.candidates, -1)

    @property
    def label(self) -> Array:
        """Place of each neuron's label among ``concepts``, shape ``(neurons,)``, int32; -1 where it is withheld too."""
        withheld = self.status == STATUSES.index("no_clear_function")
        return np.where(withheld, -1, self.best)

    @property
    def labels(self) -> Array:
        """The label of each neuron, shape ``(neurons,)``, texts; empty where there is none or it is withheld."""
        return np.array([*self.concepts, ""], dtype=object)[self.label]

    def of_layer(self, layer: str) -> Array:
        """Return the rows of a layer.

        Args:
            layer: Full module name.

        Returns:
            Ascending row numbers, empty if there is no such layer.

        """
        place = self.layers.index(layer) if layer in self.layers else -1
        return np.flatnonzero(self.layer == place)

    def keys(self) -> list[tuple[str, int]]:
        """Return layer and unit of each neuron."""
        return [(self.layers[layer], unit) for layer, unit in zip(self.layer.tolist(), self.unit.tolist(), strict=True)]

    def to_bytes(self) -> bytes:
        """Return the snapshot as a file, compressed: an archive of NumPy arrays and a text of the rest."""
        rest = {name: getattr(self, name) for name in (*_PLAIN, "settings", "layers", "concepts")}
        groups = {name: list(getattr(self, name)) for name in ("trust", "metrics", "verdicts")}
        rest |= {"groups": groups, "embedded": list(self.embeddings)}
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        for group, names in groups.items():
            arrays |= {f"{group}.{place}": getattr(self, group)[name] for place, name in enumerate(names)}
        if self.embeddings:
            arrays["embeddings"] = np.stack(list(self.embeddings.values())).astype(np.float16)
        return pack_arrays(arrays, rest, SCHEMA, compressed=True)

    @classmethod
    def read(cls, content: bytes) -> "Snapshot":
        """Return the snapshot that `to_bytes` wrote.

        Args:
            content: The content of the file.

        Raises:
            ValueError:
                If it is not whole or of another schema.

        """
        arrays, rest = unpack_arrays(content, "a snapshot", SCHEMA)
        groups = {
            group: {name: arrays[f"{group}.{place}"] for place, name in enumerate(names)}
            for group, names in rest.pop("groups").items()
        }
        embedded = rest.pop("embedded")
        embeddings = dict(zip(embedded, arrays.get("embeddings", ()), strict=True))
        rest |= {name: tuple(rest[name]) for name in ("layers", "concepts")}
        rest |= {name: arrays[name] for name in _ARRAYS} | groups
        return cls(**rest, embeddings=embeddings)


def _table(rows: Iterable[Sequence[Any]], fill: float, dtype: type[np.generic], columns: int | None = None) -> Array:
    """Return rows of different lengths as one array, padded."""
    rows = list(rows)
    width = max(map(len, rows), default=0) if columns is None else columns
    table = np.full((len(rows), width), fill, dtype)
    for place, row in enumerate(rows):
        table[place, : len(row)] = row
    return table


def _first(table: Array, missing: float) -> Array:
    return table[:, 0] if table.shape[1] else np.full(len(table), missing, table.dtype)


def _contenders(neuron: NeuronLabel) -> list[bool]:
    """Return which candidates may be the best: the first alone where nobody asked."""
    if neuron.trust is None:
        return [place == 0 for place in range(len(neuron.candidates))]
    return [candidate.concept in neuron.trust.contenders for candidate in neuron.candidates]


def _trust(neurons: Sequence[NeuronLabel], name: str) -> Array:
    trusts = (neuron.trust for neuron in neurons)
    return np.array([np.nan if trust is None else getattr(trust, name) for trust in trusts], np.float32)


def _verdict(neuron: NeuronLabel, judge: str) -> int:
    found = neuron.evaluations.get(judge)
    return _NOT_JUDGED if found is None else (_YES if found.yes else _NO)
