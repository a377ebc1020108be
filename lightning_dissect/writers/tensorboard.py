"""The report in TensorBoard: a picture and a table per layer."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lightning_dissect.checks import check_positive
from lightning_dissect.report.answers import first_judge
from lightning_dissect.report.montage import layer_montage
from lightning_dissect.report.rows import neuron_columns, neuron_rows
from lightning_dissect.report.scalars import key_names
from lightning_dissect.report.selection import evenly_spread
from lightning_dissect.types import DissectionReport, LayerDissection
from lightning_dissect.writers.base import WRITERS
from lightning_dissect.writers.loggers import loggers_called

LEFT_OUT = ("layer", "epoch", "step")
"""Columns of the rows that are the same in a whole table."""


@WRITERS.register("tensorboard")
@dataclass(frozen=True)
class TensorBoardWriter:
    """Logs a report to every ``TensorBoardLogger``: a montage and a Markdown table per layer.

    Where evaluators judged labels, half of the neurons shown are such that they judged, if there are as many; each
    image is framed and marked right or wrong by the first evaluator that judged any, which the captions name.

    Args:
        max_rows: Most rows of a table; above it, neurons at even distances in the order of quality.
        max_neurons: Most neurons in a montage, the best and the worst.

    Raises:
        ValueError:
            If a number is not positive.

    Example:
        >>> TensorBoardWriter(max_rows=50).write(DissectionReport(0, 0, 0, (), 9), loggers=[])

    """

    max_rows: int = 200
    max_neurons: int = 16

    def __post_init__(self) -> None:
        for name in ("max_rows", "max_neurons"):
            check_positive(name, getattr(self, name))

    def write(self, report: DissectionReport, loggers: Sequence[Any]) -> None:
        """Write a report, see `ReportWriter`."""
        keys = key_names(layer.layer for layer in report.layers)
        step = report.step if report.logger_step is None else report.logger_step
        judge = first_judge(report, report.neurons)
        for logger in loggers_called(loggers, "TensorBoardLogger"):
            for layer in report.layers:
                tag = f"{report.name}/{keys[layer.layer]}"
                picture = layer_montage(layer, report.images, self.max_neurons, judge=judge)
                if picture is not None:
                    logger.experiment.add_image(f"{tag}/top_images", np.asarray(picture), step, dataformats="HWC")
                logger.experiment.add_text(f"{tag}/neurons", self._table(report, layer), step)

    def _table(self, report: DissectionReport, layer: LayerDissection) -> str:
        neurons = evenly_spread(layer.neurons, self.max_rows)
        columns = [name for name in neuron_columns(report) if name not in LEFT_OUT]
        lines = [
            f"{escape_markdown(layer.layer)}, epoch {report.epoch}: {len(neurons)} of {len(layer.neurons)} neurons",
            "",
            f"| {' | '.join(name.replace('_', '-') for name in columns)} |",
            f"|{' --- |' * len(columns)}",
        ]
        for row in neuron_rows(report, neurons):
            cells = (f"{row[name]:.4g}" if isinstance(row[name], float) else str(row[name]) for name in columns)
            lines.append(f"| {' | '.join(map(escape_markdown, cells))} |")
        return "\n".join(lines)


def escape_markdown(text: str) -> str:
    r"""Return a text that Markdown shows as it is, on one line, within a cell of a table.

    Args:
        text: Any text.

    Example:
        >>> escape_markdown("<b> *x*\n|")
        '&#60;b&#62; &#42;x&#42; &#124;'

    """
    return re.sub(r"[^\w\s.,;:'\"/%°-]|_", lambda match: f"&#{ord(match[0])};", " ".join(text.split()))
