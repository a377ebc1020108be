"""A dissection as columns of typed arrays that a browser reads without parsing them."""

import base64
import gzip
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from lightning_dissect.history import Snapshot

Array = np.ndarray[Any, np.dtype[Any]]

UNIT = 32_767
"""A correlation of 1 as an integer of 16 bits; one less than its negative stands for NaN."""

PEAK = 255
"""The highest bar of a histogram as an integer of 8 bits."""

_ALIGNMENT = 8
_COMPRESSION = 1
_LOST_BITS = np.int32(~0xFFF)
"""Keeps 12 of the 24 bits of a float32's significand: three digits and a half, which compress to half the size."""


@dataclass(frozen=True)
class PackedColumns:
    """Columns as one text.

    Args:
        layout: Of each column its name, the type of its items as NumPy spells it, and its shape. Each begins at the
            next multiple of eight bytes.
        text: Base64 of the bytes, compressed by gzip.

    """

    layout: tuple[tuple[str, str, tuple[int, ...]], ...]
    text: str


def pack(columns: Mapping[str, Array]) -> PackedColumns:
    """Return columns as one text.

    Args:
        columns: Arrays of any shape, by name.

    Example:
        >>> packed = pack({"unit": np.arange(3, dtype=np.int32)})
        >>> packed.layout, gzip.decompress(base64.b64decode(packed.text)).hex()
        ((('unit', 'i4', (3,)),), '00000000010000000200000000000000')

    """
    layout, parts = [], []
    for name, column in columns.items():
        layout.append((name, column.dtype.str[1:], column.shape))
        content = np.ascontiguousarray(column.astype(column.dtype.newbyteorder("<"), copy=False)).tobytes()
        parts.append(content + bytes(-len(content) % _ALIGNMENT))
    packed = gzip.compress(b"".join(parts), _COMPRESSION, mtime=0)
    return PackedColumns(tuple(layout), base64.b64encode(packed).decode("ascii"))


def packed(snapshot: Snapshot, is_whole: bool) -> PackedColumns:
    """Return the columns of a dissection, packed once for as long as the snapshot lives.

    Args:
        snapshot: The dissection.
        is_whole: Whether it has all that the page shows, or only what timelines need.

    Returns:
        Rows in the order of the snapshot. For timelines ``status``; ``candidates``, places among the concepts of the
        snapshot; ``qualities`` and ``interval`` in units of 1 / `UNIT`; ``contenders``, one bit per candidate, the
        first in the highest bit. Beside these ``scores``; ``images``, the place of each top image among ``ids``, -1
        where there is none, and ``activations``; ``histogram``, of which the highest bar is `PEAK`, and ``range``; each
        ``trust/<name>``, ``metric/<name>`` and ``verdict/<name>``.

    """
    known = _packed.setdefault(snapshot, {})
    if is_whole not in known:
        known[is_whole] = pack(_timeline_columns(snapshot) | (_other_columns(snapshot) if is_whole else {}))
    return known[is_whole]


_packed: WeakKeyDictionary[Snapshot, dict[bool, PackedColumns]] = WeakKeyDictionary()


def _timeline_columns(snapshot: Snapshot) -> dict[str, Array]:
    return {
        "status": snapshot.status,
        "candidates": _narrow(snapshot.candidates),
        "qualities": _correlations(snapshot.qualities),
        "interval": _correlations(snapshot.interval),
        "contenders": np.packbits(snapshot.contenders, axis=1),
    }


def _other_columns(snapshot: Snapshot) -> dict[str, Array]:
    ids, places = np.unique(snapshot.top_images, return_inverse=True)
    missing = int(len(ids) > 0 and ids[0] < 0)
    return {
        "scores": _rounded(snapshot.scores),
        "ids": ids[missing:],
        "images": _narrow(places.reshape(snapshot.top_images.shape) - missing),
        "activations": _rounded(snapshot.top_activations),
        "histogram": _heights(snapshot.histograms),
        "range": snapshot.activation_range,
        **{f"{kind}/{name}": column for kind, name, column in _judgements(snapshot)},
    }


def _judgements(snapshot: Snapshot) -> Iterable[tuple[str, str, Array]]:
    for name, values in snapshot.trust.items():
        yield "trust", name, _rounded(values)
    for name, values in snapshot.metrics.items():
        yield "metric", name, _rounded(values)
    for name, values in snapshot.verdicts.items():
        yield "verdict", name, values


def _narrow(places: Array) -> Array:
    """Return non-negative integers, or -1, in 16 bits if they fit."""
    narrow: Array = places.astype(np.int16 if places.max(initial=0) < 2**15 else np.int32)
    return narrow


def _correlations(values: Array) -> Array:
    known = np.nan_to_num(np.clip(values, -1, 1), nan=-(UNIT + 1) / UNIT)
    whole: Array = np.rint(known * UNIT).astype(np.int16)
    return whole


def _rounded(values: Array) -> Array:
    bits = values.astype(np.float32, copy=False).view(np.int32)
    return np.where(np.isfinite(values), bits & _LOST_BITS, bits).view(np.float32)


def _heights(counts: Array) -> Array:
    """Return bars of which the highest is `PEAK`, and no bar that holds an image is invisible."""
    highest = counts.max(axis=1, initial=1, keepdims=True)
    heights: Array = np.ceil(counts * float(PEAK) / highest).astype(np.uint8)
    return heights
