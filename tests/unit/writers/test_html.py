from pathlib import Path

import pytest

from lightning_dissect.writers.html import HTMLWriter
from tests.helpers.refined import refined_report
from tests.helpers.small_report import small_report


def test_the_page_is_rewritten_at_every_validation(tmp_path):
    for epoch in (4, 5):
        HTMLWriter().write(small_report(tmp_path, epoch=epoch), [])
    assert "<title>Neurons · epoch 5" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_page_that_cannot_be_made_leaves_the_one_before(tmp_path):
    HTMLWriter().write(small_report(tmp_path), [])
    before = (tmp_path / "report.html").read_bytes()
    with pytest.raises(ValueError, match="Expected `image`"):
        HTMLWriter().write(small_report(tmp_path, images={0: small_report().images[0][0]}), [])
    assert (tmp_path / "report.html").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_the_budget_bounds_the_pictures(tmp_path):
    HTMLWriter(image_budget=2_000).write(small_report(tmp_path), [])
    assert "of the top images are not in this page" in (tmp_path / "report.html").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="Expected `image_budget` to be greater than 0"):
        HTMLWriter(image_budget=0)


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    HTMLWriter().write(small_report(), [])
    assert not list(Path().iterdir())


def test_a_search_for_labels_has_a_page_of_its_own(tmp_path):
    HTMLWriter(image_budget=50_000).write_refinement(refined_report(tmp_path), [])
    [path] = tmp_path.rglob("*.html")
    assert path == tmp_path / "refinement" / "cycle-0003" / "refinement.html"
    text = path.read_text(encoding="utf-8")
    assert "<title>Search for labels · epoch 4" in text
    assert "images are not in this page" in text


def test_without_a_folder_no_page_of_a_search_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    HTMLWriter().write_refinement(refined_report(neurons=0), [])
    assert not list(Path().iterdir())
