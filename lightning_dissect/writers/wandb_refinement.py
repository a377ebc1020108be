"""What a search for labels found as a table and a page in Weights & Biases."""

import io
import logging
from collections.abc import Mapping

from lightning_dissect.label_refinement import LabelRefinement
from lightning_dissect.refinement_report import RefinementReport
from lightning_dissect.report.montage import montage, tiles
from lightning_dissect.report.refinement_page import ROW_IMAGES, render_refinement
from lightning_dissect.report.refinement_rows import REFINEMENT_COLUMNS, chosen_trial, refinement_rows
from lightning_dissect.types import Picture

_COLUMN_TYPES = {
    **dict.fromkeys(("layer", "label_before", "label", "concept", "senses", "new", "stopped"), str),
    **dict.fromkeys(("unit", "trials", "images", "judging_images", "calls", "lookups", "epoch", "step", "cycle"), int),
}
"""Types of columns that are not floating-point numbers."""

_log = logging.getLogger(__name__)


def refinement_table(report: RefinementReport, max_rows: int, max_montages: int, tile_size: int) -> object:
    """Return a ``wandb.Table`` of the neurons in the order in which they were searched, as many as it may have rows.

    Args:
        report: What the search found.
        max_rows: Most rows.
        max_montages: Most rows that have a montage.
        tile_size: Side of one image in a montage, in pixels.

    Returns:
        Columns as in `refinement_rows` and ``concept_images``, a montage of the images of the concept that was judged.

    """
    import wandb

    neurons = report.neurons[:max_rows]
    if len(neurons) < len(report.neurons):
        _log.info("The W&B table has the first %d of %d neurons that were searched.", len(neurons), len(report.neurons))
    ids = {number for neuron in neurons[:max_montages] for number in _image_ids(neuron)}
    pictures = tiles({number: report.pictures[number] for number in ids & report.pictures.keys()}, tile_size)
    images = [_image(neuron, pictures, tile_size) for neuron in neurons[:max_montages]]
    images += [None] * (len(neurons) - len(images))
    rows = [[*row.values(), image] for row, image in zip(refinement_rows(report, neurons), images, strict=True)]
    kinds = [_COLUMN_TYPES.get(name, float) for name in REFINEMENT_COLUMNS]
    return wandb.Table(columns=[*REFINEMENT_COLUMNS, "concept_images"], data=rows, dtype=[*kinds, wandb.Image])


def refinement_page(report: RefinementReport, max_bytes: int) -> object | None:
    """Return the page as a ``wandb.Html``, ``None`` if it is too large with hardly any images.

    Args:
        report: What the search found.
        max_bytes: Largest page; images may take half of it.

    """
    import wandb

    page = render_refinement(report, max_bytes // 2)
    size = len(page.encode())
    if size > max_bytes:
        _log.info("The page of the search has %.1f MB and is not sent to W&B.", size / 1e6)
        return None
    return wandb.Html(io.StringIO(page), inject=False)


def _image_ids(neuron: LabelRefinement) -> tuple[int, ...]:
    trial = chosen_trial(neuron)
    return () if trial is None else trial.image_ids[:ROW_IMAGES]


def _image(neuron: LabelRefinement, pictures: Mapping[int, Picture], tile_size: int) -> object | None:
    import wandb

    shown = [pictures[number] for number in _image_ids(neuron) if number in pictures]
    return wandb.Image(montage(shown, tile_size), file_type="jpg") if shown else None
