"""What the page's script knows of a run beside the columns of its dissections."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lightning_dissect.dashboard.columns import PackedColumns, packed
from lightning_dissect.history import CURVES, DissectionHistory, RunCurves, Snapshot
from lightning_dissect.report.page import status_name
from lightning_dissect.report.plain_number import plain_number
from lightning_dissect.types import STATUSES


def packed_within(snapshots: Sequence[Snapshot], budget: int) -> list[tuple[PackedColumns, bool]]:
    """Return the columns of each dissection, of older ones only what timelines need once the budget is spent.

    Args:
        snapshots: Dissections in their order.
        budget: Characters in all beyond which older dissections are not whole; the newest always is.

    Returns:
        Columns and whether they are whole, in the order of the dissections.

    """
    found: list[tuple[PackedColumns, bool]] = []
    fits = True
    for snapshot in reversed(snapshots):
        columns = packed(snapshot, is_whole=fits)
        if fits and found and len(columns.text) > budget:
            fits, columns = False, packed(snapshot, is_whole=False)
        budget -= len(columns.text)
        found.append((columns, fits))
    return found[::-1]


def run_data(
    history: DissectionHistory, run_curves: RunCurves, columns: Sequence[tuple[PackedColumns, bool]]
) -> dict[str, Any]:
    """Return what the page's script knows of a run, as plain values that JSON can hold.

    Args:
        history: The dissections.
        run_curves: The curves of the run, which follow the history.
        columns: The columns of each dissection and whether they are whole.

    Returns:
        ``name``; ``layers``, ``statuses`` and ``concepts`` as lists of texts; ``neurons`` as place of the layer and
        unit; ``dissections``, each with epoch, step, cycle and number of images, the places of its ``concepts`` and
        ``rows``, the place of the neuron in each of its rows, ``None`` where that is the row's own number, and the
        ``layout`` of its columns; ``curves``, by layer and name a value per dissection; and what they say. A number
        that is not finite is ``None``.

    """
    concepts: dict[str, int] = {}
    neurons: dict[tuple[str, int], int] = {}
    dissections = []
    for snapshot, (own, is_whole) in zip(history, columns, strict=True):
        dissections.append(
            {
                "epoch": snapshot.epoch,
                "step": snapshot.step,
                "cycle": snapshot.cycle,
                "num_images": snapshot.num_images,
                "concepts": [concepts.setdefault(concept, len(concepts)) for concept in snapshot.concepts],
                "rows": _rows(snapshot, neurons),
                "whole": is_whole,
                "layout": own.layout,
            }
        )
    layers = history.layers
    places = {layer: place for place, layer in enumerate(layers)}
    return {
        "name": history[-1].name if len(history) else "dissection",
        "layers": layers,
        "statuses": [status_name(status) for status in STATUSES],
        "concepts": list(concepts),
        "neurons": {"layer": [places[layer] for layer, _ in neurons], "unit": [unit for _, unit in neurons]},
        "dissections": dissections,
        "curves": _curves(run_curves.follow(history), ("", *layers)),
        "descriptions": dict(CURVES),
    }


def picture_places(
    snapshots: Sequence[Snapshot], names: Mapping[int, Mapping[int, str]], thumbnails: Sequence[str]
) -> dict[str, Any]:
    """Return which thumbnail shows an image.

    Args:
        snapshots: Dissections in their order.
        names: For each cycle the name of each image's picture by sample id.
        thumbnails: Names of the pictures that the page has.

    Returns:
        ``samples``, by sample id the place of its thumbnail as the newest dissection that shows it has it, and
        ``exceptions``, by cycle the same where it differs; -1 where there is no thumbnail.

    """
    places = {name: place for place, name in enumerate(thumbnails)}
    samples: dict[str, int] = {}
    exceptions: dict[str, dict[str, int]] = {}
    for snapshot in reversed(snapshots):
        known = names.get(snapshot.cycle, {})
        for sample_id in np.unique(snapshot.top_images).tolist():
            place = places.get(known.get(sample_id, ""), -1)
            if sample_id >= 0 and samples.setdefault(str(sample_id), place) != place:
                exceptions.setdefault(str(snapshot.cycle), {})[str(sample_id)] = place
    return {"samples": samples, "exceptions": exceptions}


def _rows(snapshot: Snapshot, neurons: dict[tuple[str, int], int]) -> list[int] | None:
    rows = [neurons.setdefault(key, len(neurons)) for key in snapshot.keys()]  # noqa: SIM118 - no mapping
    return None if rows == list(range(len(rows))) else rows


def _curves(values: Sequence[Mapping[str, Mapping[str, float]]], layers: Sequence[str]) -> dict[str, Any]:
    nothing: dict[str, float] = {}
    return {
        layer: {
            name: [plain_number(found.get(layer, nothing).get(name, np.nan)) for found in values] for name in CURVES
        }
        for layer in layers
    }
