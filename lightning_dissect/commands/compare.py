"""The command that compares two runs or checkpoints."""

import json as json_format
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from lightning_dissect.commands.files import check_files
from lightning_dissect.commands.table import aligned, decimal, percent
from lightning_dissect.history import DissectionHistory, LayerComparison, RunComparison, compare_runs
from lightning_dissect.whole_files import write_whole

HEADER = (
    *("layer", "units", "pairs", "correlation", "reliable", "churn", "by chance", "distance", "overlap"),
    *("in both", "only A", "only B"),
)
ABOUT_MATCHING = (
    "pairs: units, one of each run, that correlate more than by chance",
    "correlation: their median",
)
ABOUT_NUMBERS = ("pairs: units of the same number",)
ABOUT_LABELS = (
    "reliable: of the pairs, those with a label in both runs",
    "churn: of these, those whose labels differ; by chance: as many would differ on other images",
    "distance: how far the meanings of both labels are apart, 0 to 2",
    "overlap: of these, those whose labels may be the same",
    "in both, only A, only B: concepts that are the label of some neuron",
)


def compare(
    run_a: str,
    run_b: str,
    *,
    match: bool = True,
    minimum: float = 0.0,
    json: str | None = None,
    names: int = 20,
) -> None:
    """Compare two runs, or two checkpoints, that were dissected on the same images.

    Units are matched by what they respond to before their labels are compared, because the same concept may be carried
    by another unit after another seed. Printed is a row per layer, and which concepts are in both runs and which in one
    alone. Of each run the last dissection counts. Checkpoints are dissected with the command "dissect".

    Args:
        run_a: The folder of a run, such as lightning_logs/version_0/dissection.
        run_b: The folder of another.
        match: Whether to match units; with false those of the same number are compared, as is right for two
            checkpoints of one training.
        minimum: Least correlation of a pair of units, from 0 to 1, where more than chance is too little.
        json: File for all of it, with every concept and every pair of units.
        names: Most concepts that are printed of each kind.

    """
    check_files(json=json)
    comparison = compare_runs(_history(run_a, "RUN_A"), _history(run_b, "RUN_B"), match, minimum)
    print("\n".join(_lines(comparison, max(names, 0))))
    if json is not None:
        content = {"run_a": run_a, "run_b": run_b, **_plain(comparison)}
        write_whole(Path(json), json_format.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def _history(run: str, argument: str) -> DissectionHistory:
    if not Path(run).is_dir():
        raise ValueError(f"Expected {argument} to be the folder of a run but there is no {run!r}.")
    return DissectionHistory.load(run)


def _lines(comparison: RunComparison, names: int) -> Iterator[str]:
    parts = [(layer.layer, layer) for layer in comparison.layers]
    parts += [("all", comparison.overall)] if len(parts) > 1 else []
    yield from aligned(HEADER, [_row(title, layer) for title, layer in parts])
    yield ""
    yield from (*(ABOUT_MATCHING if comparison.images else ABOUT_NUMBERS), *ABOUT_LABELS)
    yield ""
    overall = comparison.overall
    for title, concepts in (
        ("In both", overall.reproducible),
        ("Only in A", overall.only_first),
        ("Only in B", overall.only_second),
    ):
        more = f" and {len(concepts) - names:,} more" if len(concepts) > names else ""
        yield f"{title} ({len(concepts):,}): {', '.join(concepts[:names]) or '-'}{more}"
    for title, layers in (("A", comparison.only_first), ("B", comparison.only_second)):
        if layers:
            yield f"Layers of {title} alone: {', '.join(layers)}"
    for name, (first, second) in comparison.settings.items():
        yield f"The runs differ in {name}: A {first or '(none)'}; B {second or '(none)'}"


def _row(title: str, layer: LayerComparison) -> Sequence[str]:
    first, second = layer.units
    matching = layer.matching
    found = np.array([]) if matching is None else matching.correlation[matching.significant]
    concepts = (layer.reproducible, layer.only_first, layer.only_second)
    return (
        *(title, f"{first:,}" if first == second else f"{first:,} / {second:,}", f"{layer.pairs:,}"),
        *(decimal(float(np.median(found)) if len(found) else float("nan"), 2), f"{layer.reliable:,}"),
        *(percent(layer.churn), percent(layer.churn_floor)),
        *(decimal(layer.semantic_churn, 2), percent(layer.overlap)),
        *(f"{len(names):,}" for names in concepts),
    )


def _plain(comparison: RunComparison) -> dict[str, Any]:
    """Return the comparison as JSON holds it."""
    return {
        "images": comparison.images,
        "settings": comparison.settings,
        "layers_only_a": comparison.only_first,
        "layers_only_b": comparison.only_second,
        "overall": _plain_layer(comparison.overall),
        "layers": [_plain_layer(layer) for layer in comparison.layers],
    }


def _plain_layer(layer: LayerComparison) -> dict[str, Any]:
    values = {name: value for name, value in asdict(layer).items() if name != "matching"}
    plain = {name: _or_none(value) if isinstance(value, float) else value for name, value in values.items()}
    plain["reproducible_share"] = _or_none(layer.reproducible_share)
    if layer.matching is None:
        return plain
    matching = layer.matching
    pairs = zip(matching.pairs.tolist(), matching.correlation.tolist(), matching.significant.tolist(), strict=True)
    return plain | {
        "chance": _or_none(matching.chance),
        "significant_share": _or_none(matching.significant_share),
        "matching": [
            {"unit_a": unit, "unit_b": partner, "correlation": round(correlation, 6), "significant": significant}
            for (unit, partner), correlation, significant in pairs
        ],
        "unmatched_a": matching.unmatched_first.tolist(),
        "unmatched_b": matching.unmatched_second.tolist(),
    }


def _or_none(value: float) -> float | None:
    return value if isfinite(value) else None
