"""The report in Weights & Biases: tables, pictures per layer and pages."""

import glob
import io
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lightning_dissect.checks import check_positive
from lightning_dissect.refinement_report import RefinementReport
from lightning_dissect.report.answers import first_judge, verdict_text
from lightning_dissect.report.montage import neuron_montage, tiles
from lightning_dissect.report.page import render_page
from lightning_dissect.report.rows import neuron_columns, neuron_rows
from lightning_dissect.report.scalars import key_names
from lightning_dissect.report.selection import best_and_worst, evenly_spread
from lightning_dissect.types import DissectionReport, NeuronLabel, Picture
from lightning_dissect.writers.base import WRITERS
from lightning_dissect.writers.loggers import loggers_called
from lightning_dissect.writers.wandb_label_history import LabelHistoryTables
from lightning_dissect.writers.wandb_refinement import refinement_page, refinement_table

MAX_ROWS = 10_000
"""Rows of a table that W&B shows."""

MAX_IMAGES = 108
"""Images that W&B keeps per key and call."""

_COLUMN_TYPES = {
    **dict.fromkeys(("layer", "label", "contenders", "runner_ups", "status", "specificity"), str),
    **dict.fromkeys(("unit", "epoch", "step"), int),
}
"""Types of columns that are not floating-point numbers."""

_log = logging.getLogger(__name__)


@WRITERS.register("wandb")
@dataclass(frozen=True)
class WandbWriter:
    """Logs a report to every ``WandbLogger`` in one call, so that all of it stands at one step.

    ``<name>`` is the name of the report:

    * ``<name>/neurons``: a table with one row per neuron, the columns of `neuron_rows` and a montage of its top images.
    * ``<name>/<layer>/top_images``: montages of the best and the worst neurons, captioned.
    * ``<name>/label_history``: a table that grows by one row per neuron whose label is new or another than at the
      dissection before, the columns of `change_rows`; nothing is logged where nothing changed.
    * ``<name>/report``: the HTML page.
    * ``<name>/dashboard``: the page of the whole run, if it lies in the folder of the reports.
    * ``trainer/global_step``: the step at which Lightning's own scalars of the same validation stand.

    Of a search for labels it logs, in one call too:

    * ``<name>/refinement/<metric>``: each of its metrics that is known.
    * ``<name>/refinement/neurons``: a table with one row per neuron, the columns of `refinement_rows` and a montage of
      the images of its concept.
    * ``<name>/refinement/report``: the HTML page, with fewer images than on disk, if it is not larger than
      ``max_dashboard_bytes`` even so.

    Where evaluators judged labels, each image of a montage is framed and marked right or wrong by the first of them
    that judged any, which the captions name, and half of the neurons shown are such that they judged, if there are as
    many.

    W&B's limits hold: above 10,000 neurons the table has rows at even distances in the order of quality, and so has the
    column of montages above ``max_montages``; a line in the log says so. Of the label history W&B draws the last 100
    dissections that changed something and keeps all. The pictures of a table lie in W&B's staging folder
    (``WANDB_DATA_DIR``) until they are uploaded; those of the layers and the pages lie inside the run's folder.

    W&B keeps every page that is ever logged, and the dashboard grows with the run. Above ``max_dashboard_bytes`` it is
    logged only where the number of dissections has doubled, and its last state becomes a file of the run, ``<folder of
    the reports>/dashboard.html``, which is uploaded once, when the run ends.

    Args:
        max_montages: Most rows of the table that have a montage.
        images_per_layer: Most montages per layer outside the table, at most 108.
        tile_size: Side of one image in a montage, in pixels.
        html: Whether the pages are logged too.
        max_dashboard_bytes: Largest dashboard that is logged at every dissection, and largest page of a search.

    Raises:
        ValueError:
            If a number is not positive or ``images_per_layer`` is above what W&B keeps.

    Example:
        >>> class Run:
        ...     def log(self, payload):
        ...         print(sorted(payload))
        >>> class WandbLogger:
        ...     experiment = Run()
        >>> report = DissectionReport(epoch=0, step=9, cycle=0, layers=(), num_images=9, logger_step=8)
        >>> WandbWriter().write(report, [WandbLogger()])
        ['dissection/neurons', 'dissection/report', 'trainer/global_step']

    """

    max_montages: int = 1_000
    images_per_layer: int = 24
    tile_size: int = 96
    html: bool = True
    max_dashboard_bytes: int = 5_000_000
    _label_histories: LabelHistoryTables = field(
        default_factory=LabelHistoryTables, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        for name in ("max_montages", "images_per_layer", "tile_size", "max_dashboard_bytes"):
            check_positive(name, getattr(self, name))
        if self.images_per_layer > MAX_IMAGES:
            raise ValueError(f"Expected `images_per_layer` to be at most {MAX_IMAGES} but got {self.images_per_layer}.")

    def write(self, report: DissectionReport, loggers: Sequence[Any]) -> None:
        """Write a report, see `ReportWriter`."""
        for logger in loggers_called(loggers, "WandbLogger"):
            logger.experiment.log(self._payload(report, logger.experiment))

    def write_refinement(self, report: RefinementReport, loggers: Sequence[Any]) -> None:
        """Write what a search found, see `RefinementWriter`."""
        for logger in loggers_called(loggers, "WandbLogger"):
            logger.experiment.log(self._refinement_payload(report))

    def _refinement_payload(self, report: RefinementReport) -> dict[str, Any]:
        at = f"{report.name}/refinement"
        known = {name: value for name, value in report.metrics.items() if math.isfinite(value)}
        payload: dict[str, Any] = {f"{at}/{name}": value for name, value in known.items()}
        payload[f"{at}/neurons"] = refinement_table(report, MAX_ROWS, self.max_montages, self.tile_size)
        page = refinement_page(report, self.max_dashboard_bytes) if self.html else None
        if page is not None:
            payload[f"{at}/report"] = page
        payload["trainer/global_step"] = report.step if report.logger_step is None else report.logger_step
        return payload

    def _payload(self, report: DissectionReport, run: Any) -> dict[str, Any]:  # noqa: ANN401
        keys = key_names(layer.layer for layer in report.layers)
        shown_ids = {image.sample_id for neuron in report.neurons for image in neuron.top_images}
        images = {sample_id: report.images[sample_id] for sample_id in shown_ids & report.images.keys()}
        pictures = tiles(images, self.tile_size)
        judge = first_judge(report, report.neurons)
        payload: dict[str, Any] = {f"{report.name}/neurons": self._table(report, pictures, judge)}
        for layer in report.layers:
            shown = best_and_worst(layer.neurons, self.images_per_layer)
            if shown:
                payload[f"{report.name}/{keys[layer.layer]}/top_images"] = [
                    self._image(neuron, pictures, judge, _caption(report, neuron, judge)) for neuron in shown
                ]
        label_history = self._label_histories.grown(run, report)
        if label_history is not None:
            payload[f"{report.name}/label_history"] = label_history
        if self.html:
            payload |= self._pages(report, run)
        payload["trainer/global_step"] = report.step if report.logger_step is None else report.logger_step
        return payload

    def _pages(self, report: DissectionReport, run: Any) -> dict[str, Any]:  # noqa: ANN401
        import wandb

        pages = {f"{report.name}/report": wandb.Html(io.StringIO(render_page(report)), inject=False)}
        dashboard = None if report.dirpath is None else report.dirpath / "dashboard.html"
        if dashboard is None or not dashboard.exists():
            return pages
        size = dashboard.stat().st_size
        if size > self.max_dashboard_bytes:
            _log.info("The dashboard has %.1f MB: W&B gets its last state as a file when the run ends.", size / 1e6)
            run.save(glob.escape(str(dashboard)), base_path=str(dashboard.parent.parent), policy="end")
        if size <= self.max_dashboard_bytes or _is_power_of_two(report.cycle + 1):
            page = io.StringIO(dashboard.read_text(encoding="utf-8"))
            pages[f"{report.name}/dashboard"] = wandb.Html(page, inject=False)
        return pages

    def _table(self, report: DissectionReport, pictures: Mapping[int, Picture], judge: str) -> object:
        import wandb

        kept = set(map(_place, evenly_spread(report.neurons, MAX_ROWS)))
        neurons = [neuron for neuron in report.neurons if _place(neuron) in kept]
        pictured = [neuron for neuron in neurons if neuron.top_images]
        shown = set(map(_place, evenly_spread(pictured, self.max_montages)))
        if len(neurons) < len(report.neurons) or len(shown) < len(pictured):
            _log.info(
                "The W&B table has %d of %d neurons, %d of them with a montage, evenly spread over quality.",
                len(neurons),
                len(report.neurons),
                len(shown),
            )
        rows = [
            [*row.values(), self._image(neuron, pictures, judge) if _place(neuron) in shown else None]
            for row, neuron in zip(neuron_rows(report, neurons), neurons, strict=True)
        ]
        columns = neuron_columns(report)
        kinds = [_COLUMN_TYPES.get(name, float) for name in columns]
        for evaluator in report.evaluators:
            kinds[columns.index(evaluator.name)] = str
        return wandb.Table(columns=[*columns, "montage"], data=rows, dtype=[*kinds, wandb.Image])

    def _image(
        self, neuron: NeuronLabel, pictures: Mapping[int, Picture], judge: str, caption: str | None = None
    ) -> object:
        import wandb

        return wandb.Image(neuron_montage(neuron, pictures, self.tile_size, judge), caption=caption, file_type="jpg")


def _is_power_of_two(number: int) -> bool:
    return number & (number - 1) == 0


def _place(neuron: NeuronLabel) -> tuple[str, int]:
    return neuron.layer, neuron.unit


def _caption(report: DissectionReport, neuron: NeuronLabel, judge: str) -> str:
    parts = (
        neuron.title,
        f"score {neuron.score:.3f}",
        f"quality {neuron.quality:.3f}",
        verdict_text(neuron, judge),
        f"unit {neuron.unit}",
        f"epoch {report.epoch}",
        f"step {report.step}",
    )
    return " | ".join(filter(None, parts))
