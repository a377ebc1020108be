"""What a search for labels found as JSON, and back."""

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

from lightning_dissect.label_refinement import (
    ConceptTrial,
    CoSyScore,
    LabelRefinement,
    Novelty,
    RefinementCost,
    Sense,
)
from lightning_dissect.refinement_report import RefinementReport, refinement_folder
from lightning_dissect.whole_files import write_whole
from lightning_dissect.writers.json_numbers import json_number, json_value

REFINEMENT_SCHEMA = 1
"""Version of the form of the file; it grows when a reader of the old form would misread a new file."""

Record = TypeVar("Record", ConceptTrial, Sense, Novelty, RefinementCost)


def write_refinement_json(report: RefinementReport, folder: Path) -> None:
    """Write everything in a report but its pictures, as ``refinement.json``.

    Args:
        report: What the search found.
        folder: Where to.

    """
    record = {
        "schema": REFINEMENT_SCHEMA,
        "name": report.name,
        "epoch": report.epoch,
        "step": report.step,
        "cycle": report.cycle,
        "logger_step": report.logger_step,
        "settings": dict(report.settings),
        "metrics": report.metrics,
        "neurons": [asdict(neuron) for neuron in report.neurons],
    }
    text = json.dumps(_plain(record), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    write_whole(folder / "refinement.json", text + "\n")


def refinement_path(dirpath: Path, cycle: int) -> Path:
    """Return where it is written what the search after a dissection found.

    Args:
        dirpath: Folder of the run.
        cycle: Number of dissections before it.

    Example:
        >>> refinement_path(Path("run"), 3).as_posix()
        'run/refinement/cycle-0003/refinement.json'

    """
    return refinement_folder(dirpath, cycle) / "refinement.json"


def read_refinement(path: Path | str) -> RefinementReport:
    """Read what `JSONWriter` wrote of a search for labels.

    Args:
        path: The file.

    Returns:
        The report as it was written but without ``pictures``; ``dirpath`` is the folder of the run in which the file
        lies now.

    Raises:
        ValueError:
            If the file holds no such report or one of another schema.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     report = RefinementReport(1, 9, 3, (LabelRefinement("fc", 0, "", "", "", (), "budget"),))
        ...     write_refinement_json(report, refinement_folder(Path(folder), 3))
        ...     read_refinement(refinement_path(Path(folder), 3)).neurons == report.neurons
        True

    """
    path = Path(path)
    record = json.loads(path.read_text(encoding="utf-8"))
    schema = record.get("schema") if isinstance(record, dict) else None
    if schema != REFINEMENT_SCHEMA or "neurons" not in record:
        raise ValueError(
            f"Expected `path` to be a search for labels of schema {REFINEMENT_SCHEMA} but got schema {schema} in "
            f"{str(path)!r}."
        )
    return RefinementReport(
        epoch=record["epoch"],
        step=record["step"],
        cycle=record["cycle"],
        neurons=tuple(_neuron(item) for item in record["neurons"]),
        settings=record["settings"],
        dirpath=path.parent.parent.parent,
        logger_step=record["logger_step"],
        name=record["name"],
    )


def _neuron(record: dict[str, Any]) -> LabelRefinement:
    novelty = record["novelty"]
    found: dict[str, Any] = {
        "trials": tuple(_record(ConceptTrial, item) for item in record["trials"]),
        "judged": _score(record["judged"]),
        "start_judged": _score(record["start_judged"]),
        "q_value": json_number(record["q_value"]),
        "senses": tuple(_record(Sense, item) for item in record["senses"]),
        "novelty": None if novelty is None else _record(Novelty, novelty),
        "cost": _record(RefinementCost, record["cost"]),
    }
    return LabelRefinement(**record | found)


def _score(record: dict[str, Any] | None) -> CoSyScore | None:
    if record is None:
        return None
    intervals = {name: tuple(map(json_number, record[name])) for name in ("auc_interval", "mad_interval")}
    numbers = {name: json_number(record[name]) for name in ("auc", "mad", "difference", "u", "p_value")}
    return CoSyScore(**record | intervals | numbers)


def _record(kind: type[Record], record: dict[str, Any]) -> Record:
    """Return a record of texts, truths, numbers and lists of such."""
    numbers = {field.name for field in fields(kind) if field.type is float}
    return kind(**{name: _read(value, name in numbers) for name, value in record.items()})


def _read(value: Any, is_number: bool) -> Any:  # noqa: ANN401
    if is_number:
        return json_number(value)
    return tuple(value) if isinstance(value, list) else value


def _plain(value: Any) -> Any:  # noqa: ANN401
    """Return a value with all numbers as JSON can hold them."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return json_value(value) if isinstance(value, float) else value
