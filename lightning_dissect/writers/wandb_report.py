"""A run as a Weights & Biases Report: an article with live curves, made from the history on disk."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from math import isfinite
from typing import Any

import numpy as np

from lightning_dissect.array_archive import Array
from lightning_dissect.checks import require_package
from lightning_dissect.history import ALL_LAYERS, CURVES, DissectionHistory, Snapshot, compare, curves
from lightning_dissect.report.markdown import escape_markdown, markdown_table
from lightning_dissect.report.scalars import key_names
from lightning_dissect.types import STATUSES

PLOTS = {
    "Quality of the labels": {"quality": "quality"},
    "Labelled neurons": {"labelled_share": "labelled_share"},
    "Distinct labels": {"coverage": "distinct_labels"},
    "Churn and its noise floor": {"churn": "churn", "churn_floor": "churn_floor"},
    "Concepts gained and lost": {"gained": "gained", "lost": "lost"},
    "Settled labels": {"settled_share": "settled_share"},
    "Dead neurons": {"dead_share": "dead_share"},
}
"""Title of each plot, and for each curve in it the end of the key under which loggers have it."""

MAX_LAYERS = 12
"""Layers that get panels of their own; of more, those at even distances."""

MAX_NEURONS = 10
"""Best and worst neurons in a table, each."""

MAX_CONCEPTS = 50
"""Concepts gained or lost in a table, each."""

NEURON_COLUMNS = ("layer", "unit", "label", "quality", "interval", "status")
"""Columns of the table of the best and the worst neurons."""

TABLES = ("neurons", "label_history")
"""Ends of the keys of the tables."""

_GRID_WIDTH = 24
_PANEL_HEIGHT = 9


def build_report(
    history: DissectionHistory,
    *,
    entity: str,
    project: str,
    run_id: str,
    title: str = "What the neurons see",
    alarms: Sequence[Mapping[str, Any]] = (),
) -> Any:  # noqa: ANN401 - the type lives in an optional package
    """Build a W&B Report of a run; nothing is sent before its ``save`` is called.

    It has the curves of all layers and the quality of each, as W&B has logged them; the alarms; the best and the worst
    neurons, in a table and with their most activating images; the concepts gained and lost from the first dissection to
    the last; the tables of all neurons and of all changed labels; and the settings.

    Args:
        history: The history of the run.
        entity: User or team to which the W&B project belongs.
        project: W&B project of the run.
        run_id: Id of the run within the project, the last part of its address.
        title: Title of the report.
        alarms: What `read_alarms` returns.

    Returns:
        A ``wandb_workspaces.reports.v2.Report``.

    Raises:
        ModuleNotFoundError:
            If ``wandb-workspaces`` is not installed.
        ValueError:
            If the history is empty, or ``title`` is longer than 128 characters.

    Example:
        >>> from lightning_dissect.types import DissectionReport
        >>> history = DissectionHistory()
        >>> history.append(DissectionReport(epoch=0, step=0, cycle=0, layers=(), num_images=9))
        >>> report = build_report(history, entity="us", project="vision", run_id="a1b2c3")
        >>> report.title, len(report.blocks)
        ('What the neurons see', 14)

    """
    require_package("wandb_workspaces", "lightning-dissect[wandb-report]", "A W&B Report")
    if not len(history):
        raise ValueError("Expected `history` to hold at least one dissection but got none.")
    if len(title) > 128:
        raise ValueError(f"Expected `title` to have at most 128 characters but got {len(title)}.")
    wr: Any = import_module("wandb_workspaces.reports.v2")
    expressions: Any = import_module("wandb_workspaces.expr")
    is_the_run = expressions.And(expressions.Metric("ID") == run_id)
    runs = wr.Runset(entity=entity, project=project, filters=is_the_run, name=run_id)
    last, values = history[-1], curves(history)[ALL_LAYERS]
    keys = key_names(last.layers)
    layers = _evenly_spread([f"{last.name}/{key}" for key in keys.values()])

    def text(lines: Iterable[str]) -> Any:  # noqa: ANN401
        return wr.MarkdownBlock("\n".join(lines))

    def grid(panels: Iterable[Any], columns: int) -> Any:  # noqa: ANN401
        width, placed = _GRID_WIDTH // columns, list(panels)
        for place, panel in enumerate(placed):
            row, column = divmod(place, columns)
            panel.layout = wr.Layout(x=column * width, y=row * _PANEL_HEIGHT, w=width, h=_PANEL_HEIGHT)
        return wr.PanelGrid(runsets=[runs], panels=placed, hide_run_sets=True)

    return wr.Report(
        entity=entity,
        project=project,
        title=title,
        description=_in_one_sentence(history),
        width="fluid",
        blocks=[
            text([_in_one_sentence(history)]),
            wr.TableOfContents(),
            wr.H1("Across the run"),
            text(headline_lines(values)),
            grid(_line_plots(wr, last.name, values, layers), columns=2),
            *([wr.H1("Alarms"), text(alarm_lines(alarms))] if alarms else []),
            wr.H1("Best and worst neurons"),
            text(neuron_lines(last)),
            grid((wr.MediaBrowser(title=at, media_keys=[f"{at}/top_images"]) for at in layers), columns=1),
            wr.H1("Concepts gained and lost"),
            text(concept_lines(history[0], last)),
            wr.H1("Every neuron and every change"),
            grid((wr.WeavePanelSummaryTable(table_name=f"{last.name}/{table}") for table in TABLES), columns=1),
            wr.H1("Settings"),
            text(settings_lines(last)),
        ],
    )


def headline_lines(values: Mapping[str, Array]) -> list[str]:
    """Return a Markdown table of curves: their first and their last value, and what they mean.

    Args:
        values: Each of `CURVES`, shape ``(dissections,)``; those that are NaN everywhere are left out.

    """
    rows = []
    for name, curve in values.items():
        finite = curve[np.isfinite(curve)]
        if len(finite):
            first, last = float(finite[0]), float(finite[-1])
            rows.append({"measure": name.replace("_", " "), "first": first, "last": last, "what it says": CURVES[name]})
    return markdown_table(("measure", "first", "last", "what it says"), rows)


def alarm_lines(alarms: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a Markdown table of alarms.

    Args:
        alarms: What `read_alarms` returns.

    """
    return markdown_table(("epoch", "step", "title", "text"), alarms)


def neuron_lines(snapshot: Snapshot) -> list[str]:
    """Return a Markdown table of the neurons whose labels have the highest and the lowest quality, best first.

    Args:
        snapshot: A dissection.

    """
    labelled = np.flatnonzero((snapshot.labels != "") & np.isfinite(snapshot.quality))
    if not len(labelled):
        return ["No neuron has a label."]
    ranked = labelled[np.argsort(-snapshot.quality[labelled], kind="stable")].tolist()
    shown = ranked if len(ranked) <= 2 * MAX_NEURONS else ranked[:MAX_NEURONS] + ranked[-MAX_NEURONS:]
    keys = snapshot.keys()
    rows = [
        {
            "layer": keys[row][0],
            "unit": keys[row][1],
            "label": snapshot.labels[row],
            "quality": float(snapshot.quality[row]),
            "interval": _interval_text(*snapshot.interval[row].tolist()),
            "status": STATUSES[snapshot.status[row]],
        }
        for row in shown
    ]
    title = f"{len(shown)} of {len(labelled)} labelled neurons at step {snapshot.step}, epoch {snapshot.epoch}:"
    return [title, "", *markdown_table(NEURON_COLUMNS, rows)]


def concept_lines(first: Snapshot, last: Snapshot) -> list[str]:
    """Return Markdown tables of the labels that only the last or only the first of two dissections has.

    Args:
        first: A dissection.
        last: A later one.

    """
    if first.cycle == last.cycle:
        return ["There is one dissection only, so that nothing can have changed."]
    changes = compare(first, last, embeddings={})
    parts = (
        ("gained since", first, changes.gained_concepts, last),
        ("lost since", first, changes.lost_concepts, first),
    )
    lines = []
    for what, since, concepts, holder in parts:
        neurons = Counter(label for label in holder.labels if label)
        ranked = sorted(concepts, key=lambda name: (-neurons[name], name))
        lines += [f"{len(ranked)} {what} step {since.step}, epoch {since.epoch}:", ""]
        rows = [{"concept": name, "neurons": neurons[name]} for name in ranked[:MAX_CONCEPTS]]
        lines += [*markdown_table(("concept", "neurons"), rows), ""] if rows else []
    return lines


def settings_lines(snapshot: Snapshot) -> list[str]:
    """Return a Markdown table of what the numbers depend on.

    Args:
        snapshot: A dissection.

    """
    settings = {"images": str(snapshot.num_images), **snapshot.settings}
    return markdown_table(("setting", "value"), [{"setting": key, "value": settings[key]} for key in settings])


def _interval_text(low: float, high: float) -> str:
    return f"{low:.2g} to {high:.2g}" if isfinite(low) and isfinite(high) else ""


def _in_one_sentence(history: DissectionHistory) -> str:
    first, last = history[0], history[-1]
    layers = ", ".join(map(escape_markdown, _evenly_spread(last.layers)))
    more = f" and {len(last.layers) - MAX_LAYERS} more" if len(last.layers) > MAX_LAYERS else ""
    return (
        f"{len(last)} neurons of {layers}{more}, dissected {len(history)} times with {last.num_images} images, "
        f"from step {first.step} (epoch {first.epoch}) to step {last.step} (epoch {last.epoch})."
    )


def _line_plots(wr: Any, name: str, values: Mapping[str, Array], layers: Sequence[str]) -> list[Any]:  # noqa: ANN401
    plots = {
        title: [f"{name}/{key}" for curve, key in keys.items() if np.isfinite(values[curve]).any()]
        for title, keys in PLOTS.items()
    }
    plots["Quality per layer"] = [f"{at}/quality" for at in layers]
    return [wr.LinePlot(title=title, x="trainer/global_step", y=keys) for title, keys in plots.items() if keys]


def _evenly_spread(items: Sequence[str]) -> list[str]:
    places = np.linspace(0, len(items) - 1, min(len(items), MAX_LAYERS)).astype(int)
    return [items[place] for place in places.tolist()]
