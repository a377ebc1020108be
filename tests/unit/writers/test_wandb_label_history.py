import copy
import json
import pickle
from dataclasses import replace

import pytest

from lightning_dissect.history import DissectionHistory
from lightning_dissect.report.change_rows import CHANGE_COLUMNS
from lightning_dissect.types import LayerDissection
from lightning_dissect.writers.wandb_label_history import LabelHistoryTables
from tests.helpers.small_report import labelled, small_report
from tests.helpers.wandb_reader import artifacts, history

LABELS = [("cat", "dog"), ("cat", "dog"), ("cat", "puppy"), ("bird", "puppy"), ("bird", "dog")]
"""Labels of two neurons over five dissections."""

CHANGES = [
    [(0, "cat", ""), (1, "dog", "")],
    [],
    [(1, "puppy", "dog")],
    [(0, "bird", "cat")],
    [(1, "dog", "puppy")],
]


class Run:
    """A run of which nothing but its identity matters."""


def a_report(cycle, dirpath=None, name="dissection"):
    neurons = tuple(labelled("fc", unit, label, 0.5) for unit, label in enumerate(LABELS[cycle]))
    report = small_report(dirpath, layers=(LayerDissection("fc", neurons),), name=name)
    return replace(report, epoch=cycle, step=10 * cycle, cycle=cycle, logger_step=10 * cycle - 1)


def added(table, known=0):
    """Unit, label and previous label of the rows after those already known."""
    rows = [dict(zip(CHANGE_COLUMNS, row, strict=True)) for row in table.data[known:]]
    return [(row["unit"], row["label"], row["previous_label"]) for row in rows]


def test_a_dissection_adds_its_changes_only():
    tables, run, known = LabelHistoryTables(), Run(), 0
    for cycle, changes in enumerate(CHANGES):
        table = tables.grown(run, a_report(cycle))
        if not changes:
            assert table is None
            continue
        assert table.log_mode == "INCREMENTAL"
        assert added(table, known) == changes
        known = len(table.data)


def test_runs_and_reports_of_other_names_do_not_mix():
    tables, one, other = LabelHistoryTables(), Run(), Run()
    first = tables.grown(one, a_report(0))
    assert tables.grown(other, a_report(0)) is not first
    assert tables.grown(one, a_report(0, name="second")) is not first
    assert tables.grown(one, a_report(2)) is first


def test_after_a_resume_labels_are_compared_with_those_on_disk(tmp_path):
    reports = [a_report(cycle, tmp_path) for cycle in range(5)]
    for report in reports[:4]:
        DissectionHistory(tmp_path).append(report)
    assert added(LabelHistoryTables().grown(Run(), reports[3])) == CHANGES[3]


def test_a_repeated_dissection_is_compared_with_what_was_before_it(tmp_path):
    tables, run = LabelHistoryTables(), Run()
    kept = DissectionHistory(tmp_path)
    for cycle in range(4):
        kept.append(a_report(cycle, tmp_path))
        table = tables.grown(run, a_report(cycle, tmp_path))
    kept.append(a_report(2, tmp_path))
    known = len(table.data)
    assert added(tables.grown(run, a_report(2, tmp_path)), known) == CHANGES[2]


def test_a_repeated_dissection_without_a_folder_starts_anew():
    tables, run = LabelHistoryTables(), Run()
    tables.grown(run, a_report(3))
    assert added(tables.grown(run, a_report(1)), 2) == CHANGES[0]


@pytest.mark.parametrize("travel", [copy.deepcopy, lambda tables: pickle.loads(pickle.dumps(tables))])  # noqa: S301
def test_a_copy_starts_anew(travel):
    tables, run = LabelHistoryTables(), Run()
    table = tables.grown(run, a_report(0))
    assert travel(tables).grown(run, a_report(0)) is not table


def logged_increments(log):
    """Rows and place in the order of each increment that a run has logged."""
    found = []
    for artifact in artifacts(log):
        for name, path in artifact.items():
            if name.endswith("label_history.table.json"):
                table = json.loads(path.read_text())
                rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
                found.append(
                    (table["increment_num"], [(row["unit"], row["label"], row["previous_label"]) for row in rows])
                )
    return found


def test_wandb_holds_an_increment_per_change_and_a_resumed_run_goes_on(offline_wandb, tmp_path):
    """An offline run never counts as resumed, so that the second process is told that it is."""
    folder = tmp_path / "dissection"
    run = offline_wandb.init(dir=tmp_path, project="p")
    for resumed, cycles in ((False, range(3)), (True, range(3, 5))):
        run._settings.resumed = resumed
        tables = LabelHistoryTables()
        for cycle in cycles:
            DissectionHistory(folder).append(a_report(cycle, folder))
            table = tables.grown(run, a_report(cycle, folder))
            if table is not None:
                run.log({"dissection/label_history": table, "cycle": cycle})
    offline_wandb.finish()
    offline_wandb.teardown()
    [log] = tmp_path.rglob("*.wandb")
    assert logged_increments(log) == list(enumerate(filter(None, CHANGES)))
    rows = [row for row in history(log) if "dissection/label_history" in row]
    assert [row["cycle"] for row in rows] == [0, 2, 3, 4]
    values = [row["dissection/label_history"] for row in rows]
    assert {value["_type"] for value in values} == {"incremental-table-file"}
    assert [len(value["previous_increments_paths"]) for value in values] == [0, 1, 2, 3]
    assert len({value["artifact_path"] for value in values}) == 4
