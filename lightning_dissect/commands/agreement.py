"""The command that compares people and evaluators."""

from math import isfinite
from pathlib import Path

from lightning_dissect.agreement import (
    Verdicts,
    compare_judges,
    consensus,
    label_keys,
    read_ratings,
    seconds_per_neuron,
    verdicts_by_evaluator,
    verdicts_by_rater,
)
from lightning_dissect.commands.files import check_files
from lightning_dissect.commands.saved_report import saved_report
from lightning_dissect.types import DissectionReport

PEOPLE = "people"


def agreement(
    report: str,
    *,
    ratings: str | None = None,
    csv: str | None = None,
    markdown: str | None = None,
    plot: str | None = None,
    kappa_plot: str | None = None,
) -> None:
    """Say how far people and evaluators agree on the labels of a report, per layer and over all.

    Printed is one row per pair of judges: agreement rate, intersection over union of the labels that they say yes to,
    Cohen's kappa and Gwet's AC1, each with a 95 % interval, and what a judge who always says yes would reach.

    Args:
        report: The folder of a run (its last report is taken) or a file reports/cycle-0003.json of it.
        ratings: What people saved from the sheet: files, separated by commas, or a folder of them. Without any,
            evaluators are compared with each other.
        csv: File for the table.
        markdown: File for the table, which is printed too.
        plot: File for a figure of all judges beside the first; its ending (.png, .svg, .pdf) says of which kind.
        kappa_plot: File for the matrix of kappas, likewise.

    """
    check_files(csv=csv, markdown=markdown, plot=plot, kappa_plot=kappa_plot)
    saved = saved_report(report)
    people, seconds = _people(saved, ratings)
    judges = people | verdicts_by_evaluator(saved)
    if len(judges) < 2:
        raise ValueError(
            f"Expected at least two judges of {report!r} but got {list(judges) or 'none'}. "
            'Have evaluators judge with the command "evaluate", or people with the command "rating-sheet".'
        )
    seconds |= {judge.name: judge.seconds for judge in saved.evaluators}
    comparison = compare_judges(judges, {name: time for name, time in seconds.items() if isfinite(time)})
    print(comparison.to_markdown())
    if csv is not None:
        Path(csv).write_text(comparison.to_csv(), encoding="utf-8", newline="")
    if markdown is not None:
        Path(markdown).write_text(comparison.to_markdown() + "\n", encoding="utf-8")
    if plot is not None:
        comparison.figure().savefig(plot)
    if kappa_plot is not None:
        comparison.kappa_matrix().savefig(kappa_plot)


def _people(report: DissectionReport, ratings: str | None) -> tuple[dict[str, Verdicts], dict[str, float]]:
    """Return what most people say, what each of several says, and how long they take."""
    if ratings is None:
        return {}, {}
    known = set(label_keys(report))
    said = read_ratings(*_files(ratings))
    fitting = [rating for rating in said if rating.key in known]
    if not fitting:
        raise ValueError(
            f"Expected --ratings of labels of this report but none of the {len(said)} in {ratings!r} fits."
        )
    if len(fitting) < len(said):
        print(f"{len(said) - len(fitting)} of {len(said)} ratings are of labels that this report does not have.\n")
    people: dict[str, Verdicts] = {PEOPLE: consensus(fitting)}
    by_rater = verdicts_by_rater(fitting)
    return people | (by_rater if len(by_rater) > 1 else {}), {PEOPLE: seconds_per_neuron(fitting)}


def _files(ratings: str) -> list[Path]:
    """Return files of ratings, those of a folder in the order of their names."""
    paths = [Path(name.strip()) for name in ratings.split(",")]
    found = []
    for path in paths:
        found += sorted({*path.glob("*.csv"), *path.glob("*.json")}) if path.is_dir() else [path]
    if not found:
        raise ValueError(f"Expected --ratings to hold .csv or .json files but {ratings!r} holds none.")
    return found
