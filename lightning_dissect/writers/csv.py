"""Spreadsheets of neurons, layers over time, judged images and searches, and labels in the form of CLIP-Dissect."""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_dissect.refinement_report import RefinementReport
from lightning_dissect.report.evaluation_rows import EVALUATION_COLUMNS, evaluation_rows
from lightning_dissect.report.refinement_rows import (
    REFINEMENT_COLUMNS,
    TRIAL_COLUMNS,
    refinement_rows,
    trial_rows,
)
from lightning_dissect.report.rows import layer_columns, layer_rows, neuron_columns, neuron_rows
from lightning_dissect.types import DissectionReport
from lightning_dissect.whole_files import write_whole
from lightning_dissect.writers.base import WRITERS

DESCRIPTION_COLUMNS = ("layer", "unit", "description", "similarity")


@WRITERS.register("csv")
@dataclass(frozen=True)
class CSVWriter:
    r"""Writes ``neurons.csv``, ``layers.csv``, ``descriptions.csv`` and, where evaluators judge, ``evaluations.csv``.

    * ``neurons.csv`` holds all neurons of the newest dissection. It is meant for people: a text that a spreadsheet
      would run as a formula (it begins with ``= + - @``, a tab or a carriage return) gets an apostrophe in front.
    * ``layers.csv`` holds one row per layer and cycle of the run. A resumed run replaces the rows of the cycles after
      the one it was resumed from, so that no cycle is there twice. Columns of metrics and evaluators that the run no
      longer has are kept.
    * ``evaluations.csv`` holds what evaluators say of every image by which they judged a label, in the newest
      dissection in which they judged any; dissections without leave it as it is. It is meant for people too.
    * ``descriptions.csv`` holds the labels of the newest dissection with the columns of CLIP-Dissect's own output,
      letter for letter, for programs that read it. Neurons without a label have no row.

    What a search for labels found goes into two spreadsheets in ``refinement/cycle-0003``, meant for people too:
    ``refinement.csv`` has a row per neuron, ``trials.csv`` one per concept that was tried.

    A number that is NaN is an empty cell. Lines end with ``\r\n`` (RFC 4180), the encoding is UTF-8.

    Example:
        >>> import tempfile
        >>> from lightning_dissect.types import LayerDissection, NeuronLabel, ScoredConcept
        >>> neuron = NeuronLabel("fc", 0, "labelled", (ScoredConcept("cat, tabby", 0.5, 0.25),))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     CSVWriter().write(
        ...         DissectionReport(0, 0, 0, (LayerDissection("fc", (neuron,)),), 9, dirpath=Path(folder)), []
        ...     )
        ...     Path(folder, "descriptions.csv").read_text().splitlines()
        ['layer,unit,description,similarity', 'fc,0,"cat, tabby",0.5']

    References:
        Oikarinen and Weng, CLIP-Dissect, ICLR 2023. https://arxiv.org/abs/2204.10965

    """

    def write(self, report: DissectionReport, loggers: Sequence[Any]) -> None:  # noqa: ARG002
        """Write a report, see `ReportWriter`; nothing is written if the report has no ``dirpath``.

        Raises:
            ValueError:
                If there is a ``layers.csv`` of another kind.

        """
        if report.dirpath is None:
            return
        rows = neuron_rows(report)
        known, earlier = _earlier_rows(report.dirpath / "layers.csv", report.cycle)
        tables = {
            "neurons.csv": _table(neuron_columns(report), map(_guarded, rows)),
            "layers.csv": _table(
                tuple(dict.fromkeys((*layer_columns(report), *known))), [*earlier, *layer_rows(report)]
            ),
            "descriptions.csv": _table(DESCRIPTION_COLUMNS, _descriptions(rows)),
        }
        if any(neuron.evaluations for neuron in report.neurons):
            tables["evaluations.csv"] = _table(EVALUATION_COLUMNS, map(_guarded, evaluation_rows(report)))
        for name, text in tables.items():
            write_whole(report.dirpath / name, text)

    def write_refinement(self, report: RefinementReport, loggers: Sequence[Any]) -> None:  # noqa: ARG002
        """Write what a search found, see `RefinementWriter`; nothing is written if the report has no ``dirpath``."""
        if report.folder is None:
            return
        neurons = _table(REFINEMENT_COLUMNS, map(_guarded, refinement_rows(report)))
        write_whole(report.folder / "refinement.csv", neurons)
        write_whole(report.folder / "trials.csv", _table(TRIAL_COLUMNS, map(_guarded, trial_rows(report))))


def _descriptions(rows: Iterable[Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    for row in rows:
        if row["label"]:
            yield {
                "layer": row["layer"],
                "unit": row["unit"],
                "description": row["label"],
                "similarity": row["score"],
            }


def _earlier_rows(path: Path, cycle: int) -> tuple[Sequence[str], list[dict[str, str]]]:
    """Return the columns of a history and its rows of earlier cycles."""
    if not path.exists():
        return (), []
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        columns = reader.fieldnames or ()
        if "cycle" not in columns:
            raise ValueError(
                f"Expected {str(path)!r} to have a column 'cycle' but got {reader.fieldnames}; move the file away."
            )
        return columns, [row for row in reader if int(row["cycle"]) < cycle]


def _table(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, restval="", extrasaction="ignore")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return buffer.getvalue()


def _cell(value: object) -> object:
    return "" if isinstance(value, float) and math.isnan(value) else value


def _guarded(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _inert(value) for name, value in row.items()}


def _inert(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
