"""The pictures inside the page: each image once, as small as the page has to be."""

import base64
from collections.abc import Sequence

from lightning_dissect.report.montage import jpeg_bytes, tile
from lightning_dissect.types import DissectionReport, NeuronLabel

SIDES = (160, 128, 96, 72, 56)
"""Sides of a thumbnail in pixels, the largest that fits is used."""

JPEG_QUALITY = 78


def thumbnails(report: DissectionReport, budget: int = 8_000_000) -> dict[int, str]:
    """Encode every image that the report shows, once, as a JPEG in base64.

    The side of all thumbnails is the largest of `SIDES` at which, by a typical photo, all images fit the budget. If
    even the smallest does not fit, images are taken by their rank within neurons (every neuron's first image before any
    second one) until the budget is spent.

    Args:
        report: The dissection.
        budget: Most characters of base64 in all.

    Returns:
        Base64 by sample id.

    """
    ids = [sample_id for sample_id in _ids_by_rank(report.neurons) if sample_id in report.images]
    side = next((side for side in SIDES if len(ids) * _typical_length(side) <= budget), SIDES[-1])
    encoded: dict[int, str] = {}
    for sample_id in ids:
        text = base64.b64encode(jpeg_bytes(tile(report.images[sample_id], side), JPEG_QUALITY)).decode("ascii")
        budget -= len(text)
        if budget < 0:
            break
        encoded[sample_id] = text
    return encoded


def _ids_by_rank(neurons: Sequence[NeuronLabel]) -> list[int]:
    ranks = max((len(neuron.top_images) for neuron in neurons), default=0)
    return list(
        dict.fromkeys(
            neuron.top_images[rank].sample_id
            for rank in range(ranks)
            for neuron in neurons
            if rank < len(neuron.top_images)
        )
    )


def _typical_length(side: int) -> float:
    """Base64 characters of a photo: tables of about 500 bytes and a third of a byte per pixel."""
    return (500 + 0.33 * side**2) * 4 / 3
