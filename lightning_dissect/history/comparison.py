"""Two runs side by side: which units are the same, and which concepts both have found."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lightning_dissect.array_archive import Array
from lightning_dissect.history.changes import compare, coverage, same_neurons
from lightning_dissect.history.curves import ALL_LAYERS
from lightning_dissect.history.history import DissectionHistory
from lightning_dissect.history.matching import UnitMatching, match_units
from lightning_dissect.history.snapshot import Snapshot
from lightning_dissect.kept_activations import KeptActivations

MINIMUM_IMAGES = 16
"""Images that two runs must share for their units to be matched."""

_WORDS = ("encoder", "vocabulary")
"""Settings without which embeddings of concepts cannot be compared."""


@dataclass(frozen=True, eq=False)
class LayerComparison:
    """What two runs make of one layer.

    Args:
        layer: Full module name, `ALL_LAYERS` for all layers together.
        units: Neurons in the first run and in the second.
        matching: Which units are the same by their activations; ``None`` for all layers together, and where units were
            not matched.
        pairs: Neurons whose labels were compared.
        reliable: Of these, the neurons with a reliable label in both runs.
        churn: Of these, the share whose best candidate differs; NaN if there is none, here and below.
        churn_floor: Churn to expect of the same weights on two probes of as many other images.
        semantic_churn: Mean distance of the embeddings of both labels, NaN if one is unknown.
        overlap: Share of the same neurons of which a contender in one run is a contender in the other.
        reproducible: Reliable labels of any neuron in both runs, in the order of names.
        only_first: Reliable labels in the first run alone.
        only_second: Reliable labels in the second run alone.

    """

    layer: str
    units: tuple[int, int]
    matching: UnitMatching | None
    pairs: int
    reliable: int
    churn: float
    churn_floor: float
    semantic_churn: float
    overlap: float
    reproducible: tuple[str, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]

    @property
    def reproducible_share(self) -> float:
        """Share of the concepts of either run that are in both, NaN where there is none."""
        union = len(self.reproducible) + len(self.only_first) + len(self.only_second)
        return len(self.reproducible) / union if union else float("nan")


@dataclass(frozen=True, eq=False)
class RunComparison:
    """Two runs side by side.

    Args:
        layers: The layers that both runs dissected, in the order of the first.
        overall: All of these together; a concept is reproducible here if both runs have it in any of these layers.
        only_first: Layers of the first run alone.
        only_second: Layers of the second run alone.
        images: Images on which units were matched, 0 if they were not.
        settings: What the runs were asked for differently, by name, in the first and in the second.

    """

    layers: tuple[LayerComparison, ...]
    overall: LayerComparison
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    images: int
    settings: Mapping[str, tuple[str, str]]


def compare_runs(
    first: DissectionHistory, second: DissectionHistory, match: bool = True, minimum: float = 0.0, *, seed: int = 0
) -> RunComparison:
    """Compare the last dissections of two runs, or of two checkpoints.

    Which unit carries a concept is an accident of the seed. So units are matched first, layer by layer, by their
    activations on the images that both runs kept, see `match_units`; only pairs that correlate more than chance would
    have it are compared. Both runs must have been dissected on the same probe.

    Args:
        first: History of a run.
        second: History of another.
        match: Whether to match units; otherwise those of the same number are compared, as is right for two moments of
            one training.
        minimum: Least correlation of a pair.
        seed: Seed of the test against chance.

    Returns:
        The comparison. A layer of which a run kept no activations, because it is too large, has no pairs.

    Raises:
        ValueError:
            If a history is empty; if there is no layer that both have; or, if units are to be matched, a run kept no
            activations or both have too few images in common.

    Example:
        >>> from lightning_dissect.types import DissectionReport, LayerDissection, NeuronLabel, ScoredConcept
        >>> runs = DissectionHistory(), DissectionHistory()
        >>> for run, label in zip(runs, ["cat", "dog"]):
        ...     neuron = NeuronLabel("fc", 0, "labelled", (ScoredConcept(label, 0.5, 0.4),))
        ...     run.append(DissectionReport(0, 0, 0, (LayerDissection("fc", (neuron,)),), num_images=8))
        >>> comparison = compare_runs(*runs, match=False)
        >>> comparison.overall.churn, comparison.overall.only_first, comparison.overall.only_second
        (1.0, ('cat',), ('dog',))

    """
    for name, history in (("first", first), ("second", second)):
        if not len(history):
            raise ValueError(f"Expected `{name}` to hold a dissection but got an empty history.")
    one, other = first[-1], second[-1]
    layers = [layer for layer in one.layers if layer in other.layers]
    if not layers:
        raise ValueError(
            f"Expected both runs to have dissected the same layers but got {list(one.layers)} and {list(other.layers)}."
        )
    settings = _differences(one.settings, other.settings)
    embeddings = {} if settings.keys() & set(_WORDS) else {**first.embeddings, **second.embeddings}
    sides = _Sides(one, other, embeddings)
    images, matchings = 0, {}
    if match:
        images, activations = _common_activations(first, second, layers)
        matchings = {layer: match_units(*both, minimum, seed=seed) for layer, both in activations.items()}
        pairs = {layer: sides.matched(layer, matchings.get(layer)) for layer in layers}
    else:
        by_number = same_neurons(one, other)
        pairs = {layer: by_number[np.isin(by_number[:, 0], one.of_layer(layer))] for layer in layers}
    return RunComparison(
        layers=tuple(sides.compare(layer, [layer], pairs[layer], matchings.get(layer)) for layer in layers),
        overall=sides.compare(ALL_LAYERS, layers, np.concatenate(list(pairs.values()))),
        only_first=tuple(layer for layer in one.layers if layer not in layers),
        only_second=tuple(layer for layer in other.layers if layer not in layers),
        images=images,
        settings=settings,
    )


@dataclass(frozen=True, eq=False)
class _Sides:
    """The two dissections that are compared, and the directions of their concepts."""

    first: Snapshot
    second: Snapshot
    embeddings: Mapping[str, Array]

    def matched(self, layer: str, matching: UnitMatching | None) -> Array:
        """Return the rows of the neurons of a layer that are the same beyond chance, shape ``(pairs, 2)``."""
        if matching is None:
            return np.empty((0, 2), np.intp)
        units = matching.pairs[matching.significant].T
        return np.stack([_rows(self.first, layer, units[0]), _rows(self.second, layer, units[1])], axis=1)

    def compare(
        self, title: str, layers: list[str], pairs: Array, matching: UnitMatching | None = None
    ) -> LayerComparison:
        """Compare the labels of pairs of neurons, and the concepts of layers."""
        changes = compare(self.first, self.second, self.embeddings, pairs)
        shares = changes.shares()
        rows = [np.concatenate([side.of_layer(layer) for layer in layers]) for side in (self.first, self.second)]
        has, has_too = coverage(self.first, rows[0]), coverage(self.second, rows[1])
        return LayerComparison(
            layer=title,
            units=(len(rows[0]), len(rows[1])),
            matching=matching,
            pairs=len(pairs),
            reliable=int(changes.reliable.sum()),
            churn=shares["churn"],
            churn_floor=shares["churn_floor"],
            semantic_churn=shares["semantic_churn"],
            overlap=changes.overlap,
            reproducible=tuple(sorted(has & has_too)),
            only_first=tuple(sorted(has - has_too)),
            only_second=tuple(sorted(has_too - has)),
        )


def _rows(snapshot: Snapshot, layer: str, units: Array) -> Array:
    """Return the rows of units of a layer, whose neurons stand in the order of their units."""
    rows = snapshot.of_layer(layer)
    found: Array = rows[np.searchsorted(snapshot.unit[rows], units)]
    return found


def _differences(first: Mapping[str, str], second: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    both = {name: (first.get(name, ""), second.get(name, "")) for name in (*first, *second)}
    return {name: values for name, values in both.items() if values[0] != values[1]}


def _common_activations(
    first: DissectionHistory, second: DissectionHistory, layers: list[str]
) -> tuple[int, dict[str, tuple[Array, Array]]]:
    """Return on how many images both runs kept activations, and the activations of both on them, by layer."""
    one, other = _kept(first, "first"), _kept(second, "second")
    ids, rows, other_rows = np.intersect1d(one.sample_ids, other.sample_ids, assume_unique=True, return_indices=True)
    if len(ids) < MINIMUM_IMAGES:
        raise ValueError(
            f"Expected both runs to have kept activations of at least {MINIMUM_IMAGES} images in common but got "
            f"{len(ids)}. Dissect both on the same probe."
        )
    common = [layer for layer in layers if layer in one.layers and layer in other.layers]
    return len(ids), {layer: (one.layers[layer][rows], other.layers[layer][other_rows]) for layer in common}


def _kept(history: DissectionHistory, name: str) -> KeptActivations:
    kept = history.activations()
    if kept is None:
        raise ValueError(
            f"Expected `{name}` to have kept activations, so that units can be matched, but there are none. Dissect "
            "anew, or compare units by their numbers, with `match` false."
        )
    return kept
