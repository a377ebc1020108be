"""The command that has evaluators judge the labels of a saved report."""

import csv as csv_format
from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import isfinite
from pathlib import Path

from lightning_dissect.commands.files import check_files
from lightning_dissect.commands.saved_report import is_newest, saved_report
from lightning_dissect.commands.table import aligned, percent
from lightning_dissect.encoders import ENCODERS
from lightning_dissect.evaluators import EVALUATORS, EncoderEvaluator, EvaluationPlan, LabelEvaluator
from lightning_dissect.panel import EvaluatorPanel, resolve_panel
from lightning_dissect.probe import ConceptVocabulary, resolve_vocabulary
from lightning_dissect.report.evaluation_rows import EVALUATION_COLUMNS, evaluation_rows
from lightning_dissect.report.page import render_page
from lightning_dissect.types import DissectionReport, NeuronLabel, summarise_evaluators
from lightning_dissect.whole_files import write_whole
from lightning_dissect.writers import JSONWriter

HEADER = (
    *("evaluator", "layer", "yes", "shuffled labels", "always yes", "precision", "recall", "controls"),
    *("best", "by chance", "labels", "s/label"),
)


def evaluate(
    report: str,
    *,
    evaluator: str,
    neurons: int = 64,
    seconds: float | None = None,
    votes: int = 1,
    vocabulary: str | None = None,
    encoder: str | None = None,
    csv: str | None = None,
) -> None:
    """Have evaluators judge the labels of a saved report by its pictures.

    Their verdicts go into the report itself and into a page, report.html if it is the last of its run, else a page
    beside it; what other evaluators said before stays. Printed are the share of labels that each says yes to, beside
    what it says to labels of other neurons on the same images.

    Args:
        report: The folder of a run (its last report is taken) or a file reports/cycle-0003.json of it.
        evaluator: Evaluators, separated by commas: vqa:FOLDER, image_text_matching:FOLDER, concept_proportion,
            embedding_similarity, embedding_percentile; the last three see with the encoder that chose the labels, or
            with one of their own, as in embedding_similarity:open_clip.
        neurons: Most neurons judged per layer, 0 for all, where the run drew no images for them.
        seconds: Time that all evaluators may take together.
        votes: Top images that have to show what a label says.
        vocabulary: The concepts that labels were chosen from, as the run was given them, where the report alone does
            not tell: a registered name or a text file.
        encoder: The encoder that chose the labels, likewise.
        csv: File for every answer to every image.

    """
    check_files(csv=csv)
    saved = saved_report(report)
    concepts = vocabulary_of(saved, vocabulary)
    seen_by = _encoder_name(saved, encoder)
    chosen = [_seeing_with(EVALUATORS.resolve(name.strip()), seen_by) for name in evaluator.split(",")]
    by = None if seen_by is None else ENCODERS.resolve(seen_by)
    plan = EvaluationPlan(num_neurons=neurons or None, seconds=seconds, vote=votes)
    panel = resolve_panel(chosen, plan, saved.label_metrics, concepts, by)
    if panel is None:
        raise ValueError("Expected --evaluator to name an evaluator but got none.")
    judged = panel.evaluate(panel.with_top_images(saved), encoded=None)
    _write(judged)
    if csv is not None:
        with Path(csv).open("w", encoding="utf-8", newline="") as file:
            writer = csv_format.DictWriter(file, EVALUATION_COLUMNS)
            writer.writeheader()
            writer.writerows(evaluation_rows(judged))
    print("\n".join(_lines(judged, panel)))


def vocabulary_of(report: DissectionReport, spec: str | None = None) -> ConceptVocabulary:
    """Return the vocabulary of a saved report; where it cannot be told, the candidates that the report names.

    Args:
        report: The report.
        spec: The vocabulary as the run was given it, if known.

    """
    if spec is not None:
        return resolve_vocabulary(spec)
    name, _, size = report.settings.get("vocabulary", "").rpartition(" (")
    try:
        found = resolve_vocabulary(name)
    except (ValueError, OSError, ImportError):
        found = None
    if found is not None and size == f"{len(found)} concepts)":
        return found
    concepts = (item.concept for neuron in report.neurons for item in neuron.candidates)
    return ConceptVocabulary.of(concepts, name="candidates of the report")


def _encoder_name(report: DissectionReport, spec: str | None) -> str | None:
    name = report.settings.get("encoder", "") if spec is None else spec
    return name if spec is not None or name.partition(":")[0] in ENCODERS else None


def _seeing_with(evaluator: LabelEvaluator, encoder: str | None) -> LabelEvaluator:
    """Return an evaluator that does not need what the labels' encoder saw, which is not on disk."""
    if not isinstance(evaluator, EncoderEvaluator) or evaluator.encoder is not None:
        return evaluator
    if encoder is None:
        raise ValueError(
            f"Expected --encoder, because the report does not tell what {type(evaluator).__name__} is to see with."
        )
    return replace(evaluator, encoder=encoder)


def _write(report: DissectionReport) -> None:
    JSONWriter().write(report, [])
    if report.dirpath is not None:
        page = Path("report.html") if is_newest(report) else Path("reports", f"cycle-{report.cycle:04d}.html")
        write_whole(report.dirpath / page, render_page(report))


def _lines(report: DissectionReport, panel: EvaluatorPanel) -> Iterator[str]:
    yield from aligned(HEADER, _rows(report, panel), texts=2)
    for judge in report.evaluators:
        if judge.failure:
            yield f"{judge.name} could not judge: {judge.failure}"
        elif judge.is_own_witness and judge.name in panel.evaluators:
            yield f"{judge.name} sees with the family of models that chose the labels ({judge.family}): no witness."


def _rows(report: DissectionReport, panel: EvaluatorPanel) -> Iterator[Sequence[str]]:
    seconds = {judge.name: judge.seconds for judge in report.evaluators}
    parts = [(layer.layer, layer.neurons) for layer in report.layers]
    parts += [("all", report.neurons)] if len(parts) > 1 else []
    for name in panel.evaluators:
        for title, neurons in parts:
            rates = summarise_evaluators(neurons, [name])[name]
            yield (
                *(name, title, percent(rates["rate"]), percent(rates["shuffled_rate"]), percent(1.0)),
                *(percent(rates[rate]) for rate in ("precision", "recall", "control_rate", "discrimination")),
                *(percent(_chance(neurons, name)), f"{rates['evaluated']:.0f}", f"{seconds[name]:.3f}"),
            )


def _chance(neurons: Sequence[NeuronLabel], name: str) -> float:
    found = [neuron.evaluations[name].chance for neuron in neurons if name in neuron.evaluations]
    defined = [chance for chance in found if isfinite(chance)]
    return sum(defined) / len(defined) if defined else float("nan")
