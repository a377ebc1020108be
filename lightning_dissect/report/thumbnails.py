"""The pictures inside the page: each image once, as small as the page has to be."""

import base64
from collections.abc import Mapping, Sequence

from lightning_dissect.report.montage import jpeg_bytes, tile
from lightning_dissect.types import DissectionReport, NeuronLabel, Picture

SIDES = (160, 128, 96, 72, 56)
"""Sides of a thumbnail in pixels, the largest that fits is used."""

JUDGED_SIDE = 96
"""Largest side of images that are not among the most activating."""

JUDGED_SHARE = 0.25
"""Part of the budget for which top images shrink to leave it to other images."""

JPEG_QUALITY = 78


def thumbnails(report: DissectionReport, budget: int = 8_000_000) -> dict[int, str]:
    """Encode every image that the report shows, once, as a JPEG in base64.

    The side of the top images is the largest of `SIDES` at which, by a typical photo, all of them fit the budget. If
    even the smallest does not fit, images are taken by their rank within neurons (every neuron's first image before any
    second one) until the budget is spent.

    Other images by which evaluators judged labels are smaller and take what the top images leave of the budget. Where
    there are any, top images shrink until they leave `JUDGED_SHARE` of it, but none is left out for that.

    Args:
        report: The dissection.
        budget: Most characters of base64 in all.

    Returns:
        Base64 by sample id.

    """
    top = [sample_id for sample_id in by_rank(_top_ids(report.neurons)) if sample_id in report.images]
    shown = set(top)
    others = [
        sample_id
        for sample_id in by_rank(_judged_ids(report.neurons))
        if sample_id in report.images and sample_id not in shown
    ]
    encoded = encode(
        report.images, top, fitting_side(len(top), budget * (1 - JUDGED_SHARE) if others else budget), budget
    )
    if len(encoded) < len(top):
        return encoded
    left = budget - sum(map(len, encoded.values()))
    sides = [side for side in SIDES if side <= JUDGED_SIDE]
    return encoded | encode(report.images, others, fitting_side(len(others), left, sides), left)


def fitting_side(count: int, budget: float, sides: Sequence[int] = SIDES) -> int:
    """Return the largest side at which, by a typical photo, so many pictures fit a budget, or the smallest.

    Args:
        count: How many pictures.
        budget: Most characters of base64 in all.
        sides: Sides in pixels, the largest first.

    Example:
        >>> fitting_side(100, budget=500_000), fitting_side(10_000, budget=500_000)
        (96, 56)

    """
    return next((side for side in sides if count * _typical_length(side) <= budget), sides[-1])


def encode(pictures: Mapping[int, Picture], ids: Sequence[int], side: int, budget: int) -> dict[int, str]:
    """Encode pictures as square JPEGs in base64, in order until a budget is spent.

    Args:
        pictures: Pictures by id.
        ids: Which of them, the most important first.
        side: Side of the squares in pixels.
        budget: Most characters in all.

    Returns:
        Base64 by id.

    """
    encoded: dict[int, str] = {}
    for number in ids:
        text = base64.b64encode(jpeg_bytes(tile(pictures[number], side), JPEG_QUALITY)).decode("ascii")
        budget -= len(text)
        if budget < 0:
            break
        encoded[number] = text
    return encoded


def by_rank(ids: Sequence[Sequence[int]]) -> list[int]:
    """Return the first of every list before the second of any, none of them twice.

    Example:
        >>> by_rank([[1, 2, 3], [4, 1]])
        [1, 4, 2, 3]

    """
    ranks = max(map(len, ids), default=0)
    return list(dict.fromkeys(each[rank] for rank in range(ranks) for each in ids if rank < len(each)))


def _top_ids(neurons: Sequence[NeuronLabel]) -> list[list[int]]:
    return [[image.sample_id for image in neuron.top_images] for neuron in neurons]


def _judged_ids(neurons: Sequence[NeuronLabel]) -> list[list[int]]:
    return [[image.sample_id for image in neuron.judged_images] for neuron in neurons if neuron.evaluations]


def _typical_length(side: int) -> float:
    """Base64 characters of a photo: tables of about 500 bytes and a third of a byte per pixel."""
    return (500 + 0.33 * side**2) * 4 / 3
