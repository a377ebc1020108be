"""The report in TensorBoard: a picture and a table per layer, and the neurons in the projector."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lightning_dissect.checks import check_positive
from lightning_dissect.refinement_report import RefinementReport
from lightning_dissect.report.answers import first_judge
from lightning_dissect.report.markdown import escape_markdown, markdown_table
from lightning_dissect.report.montage import layer_montage
from lightning_dissect.report.refinement_rows import refinement_rows
from lightning_dissect.report.rows import layer_columns, layer_rows, neuron_columns, neuron_rows
from lightning_dissect.report.scalars import key_names
from lightning_dissect.report.selection import evenly_spread
from lightning_dissect.types import DissectionReport, LayerDissection
from lightning_dissect.writers.base import WRITERS
from lightning_dissect.writers.loggers import loggers_called
from lightning_dissect.writers.tensorboard_projector import add_projection

LEFT_OUT = ("layer", "epoch", "step")
"""Columns of the rows of neurons that are the same in a whole table."""

LEFT_OUT_OF_LAYERS = ("epoch", "step", "cycle")
"""Those of the rows of layers."""

SHOWN_OF_SEARCHES = (
    *("layer", "unit", "label_before", "label", "score_gain", "auc_before", "auc", "auc_low", "auc_high", "q_value"),
    *("senses", "new", "images", "calls", "lookups"),
)
"""Columns of the rows of neurons whose labels were searched for."""


@WRITERS.register("tensorboard")
@dataclass(frozen=True)
class TensorBoardWriter:
    """Logs a report to every ``TensorBoardLogger``.

    ``<name>`` is the name of the report:

    * ``<name>/layers``: a table with one row per layer, as text.
    * ``<name>/<layer>/neurons``: a table with one row per neuron, as text.
    * ``<name>/<layer>/top_images``: a montage of the best and the worst neurons.
    * ``<name>:<step>`` in the projector: the neurons of all layers as points, near each other where concepts describe
      them alike, see `neuron_vectors`, each with its most activating image, its label, layer, unit, quality and status.

    Of a search for labels it logs each of its metrics that is known as ``<name>/refinement/<metric>``, and a table with
    one row per neuron as ``<name>/refinement``.

    Where evaluators judged labels, half of the neurons shown are such that they judged, if there are as many; each
    image is framed and marked right or wrong by the first evaluator that judged any, which the captions name.

    Args:
        max_rows: Most rows of a table; above it, neurons at even distances in the order of quality, or the first that
            were searched.
        max_neurons: Most neurons in a montage, the best and the worst.
        max_points: Most neurons in the projector; above it, neurons at even distances in the order of quality.
        projector: Whether neurons are put into the projector.

    Raises:
        ValueError:
            If a number is not positive.

    Example:
        >>> TensorBoardWriter(max_rows=50).write(DissectionReport(0, 0, 0, (), 9), loggers=[])

    """

    max_rows: int = 200
    max_neurons: int = 16
    max_points: int = 500
    projector: bool = True

    def __post_init__(self) -> None:
        for name in ("max_rows", "max_neurons", "max_points"):
            check_positive(name, getattr(self, name))

    def write(self, report: DissectionReport, loggers: Sequence[Any]) -> None:
        """Write a report, see `ReportWriter`."""
        keys = key_names(layer.layer for layer in report.layers)
        step = report.step if report.logger_step is None else report.logger_step
        judge = first_judge(report, report.neurons)
        for logger in loggers_called(loggers, "TensorBoardLogger"):
            logger.experiment.add_text(f"{report.name}/layers", _layers_table(report), step)
            for layer in report.layers:
                tag = f"{report.name}/{keys[layer.layer]}"
                picture = layer_montage(layer, report.images, self.max_neurons, judge=judge)
                if picture is not None:
                    logger.experiment.add_image(f"{tag}/top_images", np.asarray(picture), step, dataformats="HWC")
                logger.experiment.add_text(f"{tag}/neurons", self._table(report, layer), step)
            if self.projector:
                add_projection(logger, report, step, self.max_points)

    def write_refinement(self, report: RefinementReport, loggers: Sequence[Any]) -> None:
        """Write what a search found, see `RefinementWriter`."""
        step = report.step if report.logger_step is None else report.logger_step
        shown = report.neurons[: self.max_rows]
        title = f"Search for labels, epoch {report.epoch}: {len(shown)} of {len(report.neurons)} neurons"
        table = "\n".join([title, "", *markdown_table(SHOWN_OF_SEARCHES, refinement_rows(report, shown))])
        for logger in loggers_called(loggers, "TensorBoardLogger"):
            for name, value in report.metrics.items():
                if math.isfinite(value):
                    logger.experiment.add_scalar(f"{report.name}/refinement/{name}", value, step)
            logger.experiment.add_text(f"{report.name}/refinement", table, step)

    def _table(self, report: DissectionReport, layer: LayerDissection) -> str:
        neurons = evenly_spread(layer.neurons, self.max_rows)
        columns = [name for name in neuron_columns(report) if name not in LEFT_OUT]
        title = f"{escape_markdown(layer.layer)}, epoch {report.epoch}: {len(neurons)} of {len(layer.neurons)} neurons"
        return "\n".join([title, "", *markdown_table(columns, neuron_rows(report, neurons))])


def _layers_table(report: DissectionReport) -> str:
    columns = [name for name in layer_columns(report) if name not in LEFT_OUT_OF_LAYERS]
    return "\n".join([f"epoch {report.epoch}", "", *markdown_table(columns, layer_rows(report))])
