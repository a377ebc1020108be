"""One self-contained page on which a person says of each label whether it is right."""

import base64
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from lightning_dissect.agreement.rating_files import FORMAT
from lightning_dissect.checks import check_positive
from lightning_dissect.fingerprint import fingerprint
from lightning_dissect.report import jpeg_bytes
from lightning_dissect.report.self_contained import page_environment
from lightning_dissect.types import DissectionReport, NeuronLabel, Picture

QUESTION = "Are these images related to this label?"
GUIDELINE = (
    "Yes if at least one of the images clearly shows something related to the label, no if none does, "
    "unsure if you cannot tell."
)

SIDES = (448, 320, 256, 224, 192, 160, 128)
"""Longest sides of the pictures in pixels, the largest that fits is used."""

_LOSSLESS_SIDE = 96
"""Longest side of pictures that are too small for JPEG's blocks."""


def render_rating_sheet(
    report: DissectionReport,
    neurons: int | Sequence[tuple[str, int]] | None = None,
    *,
    num_images: int = 5,
    seed: int = 0,
    question: str = QUESTION,
    guideline: str = GUIDELINE,
    image_budget: int = 24_000_000,
) -> str:
    """Return the sheet: one HTML document that works from disk, needs no network and sends nothing anywhere.

    It shows one neuron at a time, its label and its most activating images, and asks the question; what the report and
    other judges say of the label, and where the neuron sits, is not shown. Answers are kept in the browser under the
    sheet's own fingerprint and are saved as files that `read_ratings` reads. The page's policy
    (Content-Security-Policy) admits one script, named by its hash, and no request at all.

    The question and the guideline are those of the published evaluation, in which one related image is enough. People
    and machines can only be compared if both are asked the same: change them together.

    Args:
        report: The dissection, with its pictures. Only neurons with a label and a picture can be rated.
        neurons: How many neurons are drawn at random, each with the same chance, or which ones, as pairs of layer and
            unit; all by default. With the same seed, a smaller number is the beginning of a larger one.
        num_images: Most images per neuron, most activating first.
        seed: Seed of the order, in which layers mix.
        question: What is asked.
        guideline: When to say yes, no and unsure.
        image_budget: Characters that pictures should take. Beyond them they are reduced, but none is left out.

    Raises:
        ValueError:
            If there is nothing to rate, a neuron is asked for that cannot be rated, or a number is not positive.

    Example:
        >>> from lightning_dissect.types import LayerDissection, ScoredConcept, TopImage
        >>> cat = NeuronLabel("fc", 3, "labelled", (ScoredConcept("<cat>", 0.5, 0.4),), (TopImage(7, 2.0),))
        >>> images = {7: np.zeros((8, 8, 3), dtype=np.uint8)}
        >>> report = DissectionReport(0, 0, 0, (LayerDissection("fc", (cat,)),), num_images=9, images=images)
        >>> page = render_rating_sheet(report)
        >>> page.startswith("<!doctype html>"), "<cat>" in page
        (True, False)

    References:
        Wan and Weng, CLIP-Dissect Automatic Evaluation, 2024; its question to a vision-language model.

    """
    check_positive("num_images", num_images)
    check_positive("image_budget", image_budget)
    chosen = _chosen(report, neurons, num_images, seed)
    shown = [_shown(neuron, report.images, num_images) for neuron in chosen]
    items = [[neuron.layer, neuron.unit, neuron.label, ids] for neuron, ids in zip(chosen, shown, strict=True)]
    wanted = dict.fromkeys(sample_id for sample_ids in shown for sample_id in sample_ids)
    data = {
        "format": FORMAT,
        "fingerprint": fingerprint(question, guideline, json.dumps(items)),
        "question": question,
        "guideline": guideline,
        "neurons": items,
        "images": _encoded({sample_id: report.images[sample_id] for sample_id in wanted}, image_budget),
    }
    template = page_environment("agreement", "rating_sheet").get_template("rating_sheet.html.j2")
    return template.render(name=report.name, count=len(items), question=question, guideline=guideline, data=data)


def _chosen(
    report: DissectionReport, neurons: int | Sequence[tuple[str, int]] | None, num_images: int, seed: int
) -> list[NeuronLabel]:
    able = {
        (neuron.layer, neuron.unit): neuron
        for neuron in report.neurons
        if neuron.label and _shown(neuron, report.images, num_images)
    }
    if not able:
        raise ValueError(
            "Expected `report` to have neurons with a label and pictures of their images but got none; a report that "
            "was read from a file has no pictures until its `images` are given again."
        )
    if neurons is None or isinstance(neurons, int):
        keys: Iterable[tuple[str, int]] = able
        count = len(able) if neurons is None else neurons
        check_positive("neurons", count)
    else:
        keys = dict.fromkeys((layer, unit) for layer, unit in neurons)
        unable = [key for key in keys if key not in able]
        if unable or not neurons:
            raise ValueError(
                f"Expected `neurons` to be pairs of layer and unit that have a label and pictures but got {unable[:3]}."
            )
        count = len(able)
    found = [able[key] for key in keys]
    return [found[place] for place in np.random.default_rng(seed).permutation(len(found))[:count]]


def _shown(neuron: NeuronLabel, images: Mapping[int, Picture], num_images: int) -> list[int]:
    return [top.sample_id for top in neuron.top_images[:num_images] if top.sample_id in images]


def _encoded(images: Mapping[int, Picture], budget: int) -> dict[str, list[Any]]:
    """Return width, height and address of every picture by sample id, as large as the budget allows."""
    side = next((side for side in SIDES if _typical_length(images.values(), side) <= budget), SIDES[-1])
    encoded = {}
    for sample_id, image in images.items():
        picture = Image.fromarray(image)
        picture.thumbnail((side, side), Image.Resampling.BICUBIC, reducing_gap=2.0)
        encoded[str(sample_id)] = [*picture.size, _address(picture)]
    return encoded


def _typical_length(images: Iterable[Picture], side: int) -> float:
    """Characters of photos of at most this side: a third of a byte per pixel, and tables."""
    shapes = (image.shape[:2] for image in images)
    pixels = (height * width * min(1.0, side / max(height, width)) ** 2 for height, width in shapes)
    return float(sum((500 + 0.33 * number) * 4 / 3 for number in pixels))


def _address(picture: Image.Image) -> str:
    if max(picture.size) > _LOSSLESS_SIDE:
        kind, content = "jpeg", jpeg_bytes(picture)
    else:
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        kind, content = "png", buffer.getvalue()
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
