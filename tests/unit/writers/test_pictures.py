import json
from dataclasses import replace

import numpy as np

from lightning_dissect.writers import PictureFolder, PicturesWriter, read_pictures
from tests.helpers.small_report import small_report


def test_pictures_come_back_and_equal_ones_share_a_file(tmp_path):
    report = small_report(tmp_path)
    twice = replace(report, images={**report.images, 99: next(iter(report.images.values()))})
    PicturesWriter().write(twice, [])
    found = read_pictures(tmp_path, report.cycle)
    assert found.keys() == twice.images.keys()
    for sample_id, picture in twice.images.items():
        assert found[sample_id].shape == picture.shape
        assert np.abs(found[sample_id].astype(int) - picture).max() < 8
    assert len(list((tmp_path / "pictures").glob("*.jpg"))) == len(report.images)


def test_a_later_dissection_writes_only_what_is_new(tmp_path):
    report = small_report(tmp_path)
    PicturesWriter().write(report, [])
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "pictures").glob("*.jpg")}
    PicturesWriter().write(replace(report, cycle=7, images={**report.images, 99: np.zeros((9, 9, 3), np.uint8)}), [])
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "pictures").glob("*.jpg")}
    assert len(after) == len(times) + 1
    assert all(after[path] == time for path, time in times.items())
    assert len(json.loads((tmp_path / "pictures" / "index-0007.json").read_text(encoding="utf-8"))) == len(after)


def test_a_broken_or_missing_file_is_left_out(tmp_path):
    report = small_report(tmp_path)
    PicturesWriter().write(report, [])
    names = json.loads((tmp_path / "pictures" / f"index-{report.cycle:04d}.json").read_text(encoding="utf-8"))
    first, second, *others = names
    (tmp_path / "pictures" / names[first]).write_bytes(b"no picture")
    (tmp_path / "pictures" / names[second]).unlink()
    assert sorted(read_pictures(tmp_path, report.cycle)) == sorted(map(int, others))
    assert read_pictures(tmp_path, cycle=1234) == {}


def test_without_a_folder_or_pictures_nothing_is_written(tmp_path):
    PicturesWriter().write(small_report(), [])
    PicturesWriter().write(replace(small_report(tmp_path), images={}), [])
    assert not (tmp_path / "pictures").exists()


def test_a_folder_of_pictures_knows_them_by_cycle_and_reads_them_small(tmp_path):
    report = small_report(tmp_path, images={3: np.full((400, 600, 3), 90, np.uint8)})
    PicturesWriter().write(report, [])
    folder = PictureFolder(tmp_path)
    [name] = folder.names(report.cycle).values()
    assert folder.names(report.cycle) is folder.names(report.cycle)
    assert folder.read(name, side=96).shape == (100, 150, 3)
    assert folder.read("none.jpg", side=96) is None
    assert folder.names(report.cycle + 1) == {}


def test_a_folder_of_pictures_notices_that_an_index_was_replaced(tmp_path):
    report = small_report(tmp_path)
    PicturesWriter().write(report, [])
    folder = PictureFolder(tmp_path)
    folder.names(report.cycle)
    PicturesWriter().write(replace(report, images={5: report.images[5]}), [])
    assert list(folder.names(report.cycle)) == [5]
