"""Histories of runs that never were: labels wander, and come to rest."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from lightning_dissect.history import DissectionHistory, Snapshot
from lightning_dissect.types import STATUSES
from lightning_dissect.whole_files import write_whole

LAYERS = ("features.3", "features.7", "head")


def wandering_run(
    dirpath: Path, dissections: int = 6, neurons: int = 30, concepts: Sequence[str] = (), images: int = 40
) -> DissectionHistory:
    """Return a run in which ever more labels stay, with every column of a snapshot filled, as it lies on disk."""
    names = tuple(concepts) or tuple(f"concept {place}" for place in range(60))
    generator = np.random.default_rng(0)
    best = generator.integers(0, len(names), neurons)
    for cycle in range(dissections):
        progress = cycle / dissections
        moving = generator.random(neurons) < 0.5 * (1 - progress)
        best = np.where(moving, generator.integers(0, len(names), neurons), best)
        snapshot = _snapshot(best, names, images, progress, generator)
        keep(replace(snapshot, epoch=cycle, step=100 * cycle, cycle=cycle, logger_step=100 * cycle), dirpath)
    return DissectionHistory.load(dirpath)


def keep(snapshot: Snapshot, dirpath: Path) -> None:
    """Put a dissection into the folder of a run."""
    write_whole(dirpath / "history" / f"cycle-{snapshot.cycle:04d}.npz", snapshot.to_bytes())


def _snapshot(best, names, images, progress, generator):
    size, width, shown = len(best), 5, 5
    candidates = (best[:, None] + np.arange(width) * 7) % len(names)
    quality = np.clip(0.1 + 0.6 * progress + 0.15 * generator.standard_normal(size), -1, 1)
    qualities = (quality[:, None] - 0.05 * np.arange(width)).astype(np.float32)
    status = generator.choice(4, size, p=[0.6, 0.2, 0.15, 0.05]).astype(np.uint8)
    dead = status == STATUSES.index("dead")
    contenders = np.zeros((size, width), np.bool_)
    contenders[:, 0] = True
    contenders[status == STATUSES.index("ambiguous"), 1] = True
    contenders[:: width + 2] = True
    candidates[dead], qualities[dead], contenders[dead] = -1, np.nan, False
    layer = np.arange(size, dtype=np.int32) * len(LAYERS) // size
    starts = np.searchsorted(layer, np.arange(len(LAYERS)))
    hidden = np.where(dead, np.nan, 0.0)
    return Snapshot(
        epoch=0,
        step=0,
        cycle=0,
        logger_step=0,
        num_images=images,
        name="dissection",
        settings={"similarity": "soft_wpmi", "vocabulary": "<b>mine</b>"},
        layers=LAYERS,
        concepts=names,
        layer=layer,
        unit=(np.arange(size) - starts[layer]).astype(np.int32),
        status=status,
        candidates=candidates.astype(np.int32),
        scores=(2 * qualities).astype(np.float32),
        qualities=qualities,
        contenders=contenders,
        interval=np.stack([quality - 0.1, quality + 0.1], axis=1).astype(np.float32)
        + hidden[:, None].astype(np.float32),
        top_images=generator.integers(0, images, (size, shown)),
        top_activations=-np.sort(-generator.gamma(2, 1, (size, shown))).astype(np.float32),
        histograms=generator.poisson(np.exp(-np.arange(28) / 8) * 40, (size, 28)).astype(np.int32),
        activation_range=np.stack([np.zeros(size), generator.gamma(9, 1, size)], axis=1).astype(np.float32),
        trust={
            name: (generator.random(size) / 20 + hidden).astype(np.float32)
            for name in ("q_chance", "q_untrained", "explained", "stability")
        },
        metrics={"iou": (generator.random(size) + hidden).astype(np.float32)},
        verdicts={"vqa": generator.integers(-1, 2, size).astype(np.int8)},
    )
