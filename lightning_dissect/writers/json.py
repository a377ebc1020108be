"""The complete report as JSON: one file per dissection, and back."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from lightning_dissect.label_evaluation import EvaluatorDescription, JudgedImage, LabelEvaluation
from lightning_dissect.refinement_report import RefinementReport
from lightning_dissect.report.scalars import judged_values
from lightning_dissect.types import (
    ActivationHistogram,
    DissectionReport,
    LabelSpecificity,
    LabelTrust,
    LayerDissection,
    MetricDescription,
    NeuronLabel,
    Relation,
    Relative,
    ScoredConcept,
    TopImage,
)
from lightning_dissect.whole_files import write_whole
from lightning_dissect.writers.base import WRITERS
from lightning_dissect.writers.json_numbers import json_number, json_value
from lightning_dissect.writers.json_refinement import write_refinement_json

SCHEMA = 1
"""Version of the form of the file; it grows when a reader of the old form would misread a new file."""

_TRUST_NUMBERS = ("p_chance", "q_chance", "explained", "p_untrained", "q_untrained", "stability")
_EVALUATION_NUMBERS = ("precision", "recall", "shuffled", "discrimination", "chance")


@WRITERS.register("json")
@dataclass(frozen=True)
class JSONWriter:
    """Writes ``reports/cycle-0003.json``: everything in the report but pictures, embeddings and activations.

    What a search for labels found goes to ``refinement/cycle-0003/refinement.json``, everything but pictures. Either
    file is valid JSON: NaN is ``null``, infinite numbers are the texts ``"Infinity"`` and ``"-Infinity"``. A run that
    is resumed overwrites the files of the cycles that it repeats.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     report = DissectionReport(epoch=1, step=9, cycle=3, layers=(), num_images=5, dirpath=Path(folder))
        ...     JSONWriter().write(report, [])
        ...     read_report(report_path(Path(folder), cycle=3)) == report
        True

    """

    def write(self, report: DissectionReport, loggers: Sequence[Any]) -> None:  # noqa: ARG002
        """Write a report, see `ReportWriter`; nothing is written if the report has no ``dirpath``."""
        if report.dirpath is None:
            return
        text = json.dumps(_report_record(report), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        write_whole(report_path(report.dirpath, report.cycle), text + "\n")

    def write_refinement(self, report: RefinementReport, loggers: Sequence[Any]) -> None:  # noqa: ARG002
        """Write what a search found, see `RefinementWriter`; nothing is written if the report has no ``dirpath``."""
        if report.folder is not None:
            write_refinement_json(report, report.folder)


def report_path(dirpath: Path, cycle: int) -> Path:
    """Return where the report of a cycle lies.

    Args:
        dirpath: Folder of the reports' run.
        cycle: Number of the dissection within the run, from 0.

    Example:
        >>> report_path(Path("run"), 3).as_posix()
        'run/reports/cycle-0003.json'

    """
    return dirpath / "reports" / f"cycle-{cycle:04d}.json"


def read_report(path: Path | str) -> DissectionReport:
    """Read what `JSONWriter` wrote.

    Args:
        path: The file.

    Returns:
        The report as it was written but without ``images``, ``concept_embeddings`` and ``activations``; ``dirpath`` is
        the folder in which the file lies now.

    Raises:
        ValueError:
            If the file holds no report or one of another schema.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     report = DissectionReport(epoch=1, step=9, cycle=0, layers=(), num_images=5, dirpath=Path(folder))
        ...     JSONWriter().write(report, [])
        ...     read_report(Path(folder, "reports", "cycle-0000.json")).num_images
        5

    """
    path = Path(path)
    record = json.loads(path.read_text(encoding="utf-8"))
    schema = record.get("schema") if isinstance(record, dict) else None
    if schema != SCHEMA:
        raise ValueError(f"Expected `path` to be a report of schema {SCHEMA} but got schema {schema} in {str(path)!r}.")
    return DissectionReport(
        epoch=record["epoch"],
        step=record["step"],
        cycle=record["cycle"],
        layers=tuple(_layer(item) for item in record["layers"]),
        num_images=record["num_images"],
        settings=record["settings"],
        dirpath=path.parent.parent,
        logger_step=record["logger_step"],
        name=record["name"],
        label_metrics=tuple(map(_description, record.get("label_metrics", ()))),
        evaluators=tuple(map(_evaluator, record.get("evaluators", ()))),
        reference_images=tuple(record.get("reference_images", ())),
    )


def _report_record(report: DissectionReport) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "name": report.name,
        "epoch": report.epoch,
        "step": report.step,
        "cycle": report.cycle,
        "logger_step": report.logger_step,
        "num_images": report.num_images,
        "settings": dict(report.settings),
        "label_metrics": [_description_record(metric) for metric in report.label_metrics],
        "evaluators": [vars(item) | {"seconds": json_value(item.seconds)} for item in report.evaluators],
        "reference_images": list(report.reference_images),
        "metrics": {
            name: json_value(value) for name, value in (report.metrics | judged_values(report, report.neurons)).items()
        },
        "layers": [
            {
                "layer": layer.layer,
                "metrics": {
                    name: json_value(value)
                    for name, value in (layer.metrics | judged_values(report, layer.neurons)).items()
                },
                "undefined": {metric: dict(reasons) for metric, reasons in layer.undefined.items()},
                "neurons": [_neuron_record(neuron) for neuron in layer.neurons],
            }
            for layer in report.layers
        ],
    }


def _neuron_record(neuron: NeuronLabel) -> dict[str, Any]:
    return {
        "unit": neuron.unit,
        "status": neuron.status,
        "candidates": [
            {"concept": item.concept, "score": json_value(item.score), "quality": json_value(item.quality)}
            for item in neuron.candidates
        ],
        "top_images": [
            {"sample_id": item.sample_id, "activation": json_value(item.activation)} for item in neuron.top_images
        ],
        "trust": None if neuron.trust is None else _trust_record(neuron.trust),
        "specificity": None if neuron.specificity is None else _specificity_record(neuron.specificity),
        "metrics": {name: json_value(value) for name, value in neuron.metrics.items()},
        "judged_images": [
            vars(item) | {"activation": json_value(item.activation), "weight": json_value(item.weight)}
            for item in neuron.judged_images
        ],
        "evaluations": {name: _evaluation_record(found) for name, found in neuron.evaluations.items()},
        "histogram": None if neuron.histogram is None else asdict(neuron.histogram),
    }


def _evaluator(record: dict[str, Any]) -> EvaluatorDescription:
    return EvaluatorDescription(**record | {"seconds": json_number(record["seconds"])})


def _evaluation_record(found: LabelEvaluation) -> dict[str, Any]:
    return {
        "yes": found.yes,
        "scores": list(map(json_value, found.scores)),
        "answers": list(found.answers),
        **{name: json_value(getattr(found, name)) for name in _EVALUATION_NUMBERS},
    }


def _evaluation(record: dict[str, Any]) -> LabelEvaluation:
    numbers = {name: json_number(record[name]) for name in _EVALUATION_NUMBERS}
    return LabelEvaluation(
        record["yes"], tuple(map(json_number, record["scores"])), tuple(record["answers"]), **numbers
    )


def _judged_image(record: dict[str, Any]) -> JudgedImage:
    return JudgedImage(
        **record | {"activation": json_number(record["activation"]), "weight": json_number(record["weight"])}
    )


def _trust_record(trust: LabelTrust) -> dict[str, Any]:
    return {
        "interval": list(map(json_value, trust.interval)),
        "contenders": list(trust.contenders),
        **{name: json_value(getattr(trust, name)) for name in _TRUST_NUMBERS},
    }


def _trust(record: dict[str, Any] | None) -> LabelTrust | None:
    if record is None:
        return None
    low, high = map(json_number, record["interval"])
    numbers = {name: json_number(record.get(name)) for name in _TRUST_NUMBERS}
    return LabelTrust((low, high), tuple(record["contenders"]), **numbers)


def _histogram(record: dict[str, Any] | None) -> ActivationHistogram | None:
    if record is None:
        return None
    return ActivationHistogram(record["low"], record["high"], tuple(record["counts"]))


def _specificity_record(found: LabelSpecificity) -> dict[str, Any]:
    relatives = {relation: getattr(found, relation) for relation in get_args(Relation)}
    return {
        "label": found.label,
        "verdict": found.verdict,
        "correlation": json_value(found.correlation),
        **{
            relation: None if relative is None else _relative_record(relative)
            for relation, relative in relatives.items()
        },
    }


def _relative_record(relative: Relative) -> dict[str, Any]:
    return {name: value if isinstance(value, str) else json_value(value) for name, value in asdict(relative).items()}


def _specificity(record: dict[str, Any] | None) -> LabelSpecificity | None:
    if record is None:
        return None
    relatives = (record[relation] and _relative(**record[relation]) for relation in get_args(Relation))
    return LabelSpecificity(record["label"], record["verdict"], json_number(record["correlation"]), *relatives)


def _relative(name: str, relation: Relation, **numbers: float | str | None) -> Relative:
    return Relative(name, relation, **{key: json_number(value) for key, value in numbers.items()})


def _description_record(metric: MetricDescription) -> dict[str, Any]:
    return vars(metric) | {"score_range": [json_value(end) for end in metric.score_range]}


def _description(record: dict[str, Any]) -> MetricDescription:
    low, high = map(json_number, record["score_range"])
    return MetricDescription(**record | {"score_range": (low, high)})


def _layer(record: dict[str, Any]) -> LayerDissection:
    neurons = (
        NeuronLabel(
            layer=record["layer"],
            unit=item["unit"],
            status=item["status"],
            candidates=tuple(
                ScoredConcept(entry["concept"], json_number(entry["score"]), json_number(entry["quality"]))
                for entry in item["candidates"]
            ),
            top_images=tuple(
                TopImage(entry["sample_id"], json_number(entry["activation"])) for entry in item["top_images"]
            ),
            trust=_trust(item.get("trust")),
            specificity=_specificity(item.get("specificity")),
            metrics={name: json_number(value) for name, value in item.get("metrics", {}).items()},
            judged_images=tuple(map(_judged_image, item.get("judged_images", ()))),
            evaluations={name: _evaluation(found) for name, found in item.get("evaluations", {}).items()},
            histogram=_histogram(item.get("histogram")),
        )
        for item in record["neurons"]
    )
    return LayerDissection(record["layer"], tuple(neurons), record.get("undefined", {}))
