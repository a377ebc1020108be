import pytest

from lightning_dissect import cli
from lightning_dissect.history import Alarm, DissectionHistory
from lightning_dissect.writers import PicturesWriter
from lightning_dissect.writers.alarms import write_alarms
from tests.helpers.small_report import small_report

pytest.importorskip("bokeh")


@pytest.fixture
def run(tmp_path):
    report = small_report(tmp_path)
    DissectionHistory(tmp_path).append(report)
    PicturesWriter().write(report, [])
    write_alarms([Alarm("concept_loss", "Concepts lost", "5 of 9", "", 5.0, 3.0)], report)
    return tmp_path


def test_the_page_lies_in_the_folder_of_the_run(run, capsys):
    assert cli.main(["dashboard", str(run)]) == 0
    assert capsys.readouterr().out.strip() == str(run / "dashboard.html")
    page = (run / "dashboard.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "Concepts lost" in page


def test_the_page_lies_where_it_is_asked_for(run):
    assert cli.main(["dashboard", str(run), "--output", str(run / "new" / "page.html")]) == 0
    assert (run / "new" / "page.html").exists()
    assert not (run / "dashboard.html").exists()


def test_a_folder_without_history_is_an_error(tmp_path, capsys):
    assert cli.main(["dashboard", str(tmp_path)]) == 2
    assert "holds none" in capsys.readouterr().err
