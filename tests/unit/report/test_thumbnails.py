import base64
import io

import numpy as np
from PIL import Image

from lightning_dissect.report.thumbnails import SIDES, thumbnails
from lightning_dissect.types import LayerDissection
from tests.helpers.small_report import labelled, picture, small_report


def _decoded(text):
    return Image.open(io.BytesIO(base64.b64decode(text)))


def test_every_shown_image_is_there_once_and_no_other():
    report = small_report(images={**small_report().images, 19: picture(19)})
    encoded = thumbnails(report)
    assert set(encoded) == set(range(7))
    assert _decoded(encoded[3]).size == (SIDES[0], SIDES[0])
    centre = np.asarray(_decoded(encoded[3]))[80, 80].astype(int)
    assert np.abs(centre - picture(3)[0, 0].astype(int)).max() <= 4


def test_pictures_shrink_before_they_are_left_out():
    assert _decoded(thumbnails(small_report(), budget=30_000)[3]).size[0] in SIDES[1:]


def test_the_first_images_of_all_neurons_come_before_any_second():
    neurons = tuple(labelled("fc", 2 * unit, "x", 0.5) for unit in range(10))
    report = small_report(
        layers=(LayerDissection("fc", neurons),), images={number: picture(number) for number in range(20)}
    )
    whole = thumbnails(report, budget=10_000)
    budget = sum(map(len, list(whole.values())[:10]))
    encoded = thumbnails(report, budget=budget)
    assert list(encoded) == list(range(0, 20, 2))
    assert sum(map(len, encoded.values())) <= budget
