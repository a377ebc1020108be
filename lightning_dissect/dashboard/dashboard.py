"""The self-contained HTML page of a run."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import jinja2
from markupsafe import Markup

from lightning_dissect.dashboard.gallery import Gallery
from lightning_dissect.dashboard.libraries import library_scripts, library_style
from lightning_dissect.dashboard.refined_data import refined_data
from lightning_dissect.dashboard.run_data import packed_within, picture_places, run_data
from lightning_dissect.history import CURVES, DissectionHistory, RunCurves
from lightning_dissect.refinement_report import RefinementReport
from lightning_dissect.report.self_contained import page_environment, script_hash

PARTS = ("run", "plots", "ribbon", "tables", "overview", "neurons", "refined", "neuron", "concepts", "changes")
"""The page's own scripts and styles, in their order; ``dashboard`` comes last."""


def render_dashboard(
    history: DissectionHistory,
    gallery: Gallery | None = None,
    *,
    alarms: Sequence[Mapping[str, Any]] = (),
    refinements: Sequence[RefinementReport] = (),
    run_curves: RunCurves | None = None,
    image_budget: int = 12_000_000,
    data_budget: int = 30_000_000,
) -> str:
    """Return the page of a run: one HTML document that needs no network and shows every label as text.

    The page's own policy (Content-Security-Policy) admits its scripts by their hashes, and no request at all. Its
    numbers are columns that the reader's browser unpacks, the newest dissection first. What does not fit is left out
    where it is oldest, and the page says so.

    Args:
        history: The dissections of the run.
        gallery: Pictures of top images; the page has none without.
        alarms: What was raised, each with ``title``, ``text``, ``cycle`` and ``step``.
        refinements: What searches for labels found, in their order; of a neuron the last counts.
        run_curves: The curves of the run, if they are kept from one page to the next.
        image_budget: Most characters that pictures may take.
        data_budget: Characters of columns beyond which older dissections keep but their labels and qualities.

    Raises:
        ModuleNotFoundError:
            If the libraries that draw plots and tables are not installed.

    Example:
        >>> page = render_dashboard(DissectionHistory())
        >>> page.startswith("<!doctype html>"), "<title>Neurons of a run" in page
        (True, True)

    """
    snapshots = list(history)
    columns = packed_within(snapshots, data_budget)
    thumbnails = {} if gallery is None else gallery.thumbnails(snapshots, image_budget)
    names = {} if gallery is None else {item.cycle: gallery.source.names(item.cycle) for item in snapshots}
    pictures = picture_places(snapshots, names, list(thumbnails))
    return (
        _environment()
        .get_template("dashboard.html.j2")
        .render(
            newest=snapshots[-1] if snapshots else None,
            snapshots=snapshots,
            data=run_data(history, run_curves or RunCurves(), columns) | {"searches": refined_data(refinements)},
            pictures={**pictures, "thumbnails": list(thumbnails.values())},
            blocks=[own.text for own, _ in columns],
            curves=CURVES,
            alarms=alarms,
            lean=[snapshot for snapshot, (_, is_whole) in zip(snapshots, columns, strict=True) if not is_whole],
            missing_pictures=_missing(pictures) if thumbnails else 0,
        )
    )


def _missing(pictures: Mapping[str, Any]) -> int:
    return sum(place < 0 for place in pictures["samples"].values())


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    shared = ("report/components", "report/elements", "report/course")
    environment = page_environment("dashboard", "dashboard", *shared, *(f"dashboard/{part}" for part in PARTS))
    environment.globals |= {
        "libraries": [Markup(script) for script in library_scripts()],  # noqa: S704 - files of installed packages
        "library_hashes": [script_hash(script) for script in library_scripts()],
        "library_style": Markup(library_style()),  # noqa: S704 - a file of an installed package
    }
    return environment
