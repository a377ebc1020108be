import base64
import io
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from lightning_dissect.dashboard.gallery import SIDES, Gallery
from tests.helpers.run_history import wandering_run


class Colours:
    """A plain picture for each image; every third cannot be read."""

    def __init__(self, images=40):
        self.images, self.reads = images, Counter()

    def names(self, cycle):
        return {sample_id: f"{sample_id}" for sample_id in range(self.images)}

    def read(self, name, side):
        self.reads[name] += 1
        return None if int(name) % 3 == 0 else np.full((2 * side, 3 * side, 3), int(name), np.uint8)


@pytest.fixture
def snapshots(tmp_path):
    return list(wandering_run(tmp_path, dissections=3))


def side_of(text):
    return Image.open(io.BytesIO(base64.b64decode(text))).size


def test_each_picture_is_there_once_as_a_square(snapshots):
    thumbnails = Gallery(Colours()).thumbnails(snapshots, budget=1_000_000)
    shown = {int(sample_id) for snapshot in snapshots for sample_id in snapshot.top_images.ravel()}
    assert {int(name) for name in thumbnails} == {name for name in shown if name % 3}
    assert {side_of(text) for text in thumbnails.values()} == {(SIDES[0], SIDES[0])}


def test_pictures_are_read_once_however_often_the_page_is_written(snapshots):
    source = Colours()
    gallery = Gallery(source)
    assert gallery.thumbnails(snapshots[:2], 1_000_000).keys() <= gallery.thumbnails(snapshots, 1_000_000).keys()
    assert set(source.reads.values()) == {1}


def test_pictures_shrink_before_older_dissections_lose_theirs(snapshots):
    count = len(np.unique(snapshots[-1].top_images))
    budget = 2_100 * count
    thumbnails = Gallery(Colours()).thumbnails(snapshots, budget)
    sides = {side_of(text)[0] for text in thumbnails.values()}
    assert sides == {56}
    assert sum(map(len, thumbnails.values())) <= budget
    newest = {str(sample_id) for sample_id in np.unique(snapshots[-1].top_images) if sample_id % 3}
    assert newest <= thumbnails.keys()


def test_a_small_budget_keeps_first_images_of_the_newest_dissection(snapshots):
    thumbnails = Gallery(Colours()).thumbnails(snapshots, budget=6_000)
    first = [str(sample_id) for sample_id in dict.fromkeys(snapshots[-1].top_images[:, 0].tolist()) if sample_id % 3]
    assert 0 < len(thumbnails) < 40
    assert list(thumbnails)[: len(first)] == first[: len(thumbnails)]
    assert sum(map(len, thumbnails.values())) <= 6_000


def test_images_without_a_picture_are_left_out(snapshots):
    assert Gallery(Colours(images=0)).thumbnails(snapshots, 1_000_000) == {}
    assert Gallery(Colours()).thumbnails([], 1_000_000) == {}
