import json
import logging
from dataclasses import replace

import numpy as np
import pytest

from lightning_dissect.dashboard import libraries
from lightning_dissect.history import Alarm, DissectionHistory
from lightning_dissect.writers import DashboardWriter, JSONWriter, PicturesWriter, write_alarms
from tests.helpers.page_dump import Texts
from tests.helpers.refined import refined_report
from tests.helpers.small_report import HOSTILE, small_report


def written(writer, dirpath, cycle, **changes):
    report = small_report(dirpath, cycle=cycle, step=10 * cycle, **changes)
    DissectionHistory(dirpath).append(report)
    PicturesWriter().write(report, [])
    writer.write(report, [])
    return (dirpath / "dashboard.html").read_text(encoding="utf-8")


def test_the_page_grows_with_the_run(tmp_path):
    writer = DashboardWriter()
    assert "step 0</title>" in written(writer, tmp_path, 0)
    page = written(writer, tmp_path, 1)
    assert "step 10</title>" in page
    assert [dict(found).get("class") for tag, found in Texts(page).elements if tag == "script"].count("block") == 2


def test_a_resumed_run_replaces_what_it_repeats(tmp_path):
    writer = DashboardWriter()
    for cycle in (0, 1, 2):
        written(writer, tmp_path, cycle)
    page = written(writer, tmp_path, 1, epoch=7)
    assert page.count('class="block"') == 2
    assert "<dt>Epoch</dt><dd>7</dd>" in page
    assert page == written(DashboardWriter(), tmp_path, 1, epoch=7)


def test_alarms_and_pictures_of_the_run_are_in_the_page(tmp_path):
    report = small_report(tmp_path)
    write_alarms([Alarm("watch_list", HOSTILE[0], "It rose.", "", 0.2, 0.1)], report)
    page = written(DashboardWriter(), tmp_path, report.cycle)
    assert HOSTILE[0] in Texts(page).texts
    assert page.count('"/9j/') == 7
    assert "1 of the top images, those of older dissections first" in page


def test_budgets_bound_the_page(tmp_path):
    writer = DashboardWriter(image_budget=1_000, data_budget=1)
    written(writer, tmp_path, 0)
    page = written(writer, tmp_path, 1)
    assert "1 older dissection has only labels" in page
    for name in ("image_budget", "data_budget"):
        with pytest.raises(ValueError, match=f"Expected `{name}` to be greater than 0"):
            DashboardWriter(**{name: 0})


def test_nothing_is_written_without_a_folder_or_a_history(tmp_path):
    DashboardWriter().write(small_report(), [])
    DashboardWriter().write(small_report(tmp_path), [])
    assert not list(tmp_path.iterdir())


def test_without_the_libraries_a_line_says_once_what_to_install(tmp_path, monkeypatch, caplog):
    def missing():
        raise ModuleNotFoundError(libraries.INSTALL)

    monkeypatch.setattr("lightning_dissect.writers.dashboard.render_dashboard", lambda *_, **__: missing())
    writer = DashboardWriter()
    with caplog.at_level(logging.WARNING):
        for cycle in (0, 1):
            report = small_report(tmp_path, cycle=cycle)
            DissectionHistory(tmp_path).append(report)
            writer.write(report, [])
    assert len(caplog.records) == 1
    assert "pip install 'lightning-dissect[dashboard]'" in caplog.text
    assert not (tmp_path / "dashboard.html").exists()


def test_a_second_run_begins_its_own_page(tmp_path):
    writer = DashboardWriter()
    for name in ("one", "two"):
        page = written(writer, tmp_path / name, 0, images={0: np.zeros((8, 8, 3), np.uint8)})
        assert page.count('class="block"') == 1
    assert replace(writer) == writer


def _searches(page):
    return json.loads(Texts(page).scripts[0])["searches"]


def test_searches_for_labels_are_in_the_page_once_they_are_written(tmp_path):
    writer = DashboardWriter()
    assert _searches(written(writer, tmp_path, 0)) == {}
    found = refined_report(tmp_path, cycle=0, pictures={})
    for searches in (found, replace(found, neurons=found.neurons[:1])):
        JSONWriter().write_refinement(searches, [])
        writer.write_refinement(searches, [])
        layers = _searches((tmp_path / "dashboard.html").read_text(encoding="utf-8"))
        assert sum(map(len, layers.values())) == len(searches.neurons)
    assert list(_searches(written(writer, tmp_path, 1))) == ["layer4"]


def test_a_search_of_a_run_without_a_folder_is_in_no_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    DashboardWriter().write_refinement(refined_report(neurons=0), [])
    assert not list(tmp_path.iterdir())
