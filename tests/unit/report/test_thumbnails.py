import base64
import io
from dataclasses import replace

import numpy as np
from PIL import Image

from lightning_dissect.label_evaluation import JudgedImage
from lightning_dissect.report.thumbnails import JUDGED_SIDE, SIDES, thumbnails
from lightning_dissect.types import LayerDissection, NeuronLabel, TopImage
from tests.helpers.small_report import evaluated_report, labelled, picture, small_report


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


def _report_of_judged(tops, others):
    judged = tuple(JudgedImage(number, 0.1, "decile", 5, 1.0) for number in (*range(tops), *range(100, 100 + others)))
    first = replace(labelled("fc", 0, "x", 0.5), top_images=(TopImage(0, 1.0),), judged_images=judged)
    neurons = [replace(first, evaluations=evaluated_report().neurons[0].evaluations)]
    neurons += [NeuronLabel("fc", unit, "dead", top_images=(TopImage(unit, 1.0),)) for unit in range(1, tops)]
    noise = np.random.default_rng(0)
    images = {image.sample_id: noise.integers(0, 256, (200, 200, 3), dtype=np.uint8) for image in judged}
    return small_report(layers=(LayerDissection("fc", tuple(neurons)),), images=images)


def test_judged_images_are_smaller_and_come_after_top_images():
    encoded = thumbnails(_report_of_judged(tops=3, others=2))
    assert list(encoded) == [0, 1, 2, 100, 101]
    assert [_decoded(text).size[0] for text in encoded.values()] == [SIDES[0]] * 3 + [JUDGED_SIDE] * 2


def test_judged_images_take_what_top_images_leave():
    report = _report_of_judged(tops=4, others=30)
    budget = 60_000
    encoded = thumbnails(report, budget)
    assert list(encoded)[:4] == [0, 1, 2, 3]
    assert _decoded(encoded[0]).size[0] in SIDES[1:]
    assert 0 < len(encoded) - 4 < 30
    assert {_decoded(encoded[number]).size[0] for number in list(encoded)[4:]} == {SIDES[-1]}
    assert sum(map(len, encoded.values())) <= budget


def test_no_judged_image_takes_the_place_of_a_top_image():
    report = _report_of_judged(tops=20, others=5)
    top = set(range(20))
    for budget in range(10_000, 80_000, 4_000):
        encoded = thumbnails(report, budget)
        assert set(encoded) <= top or set(encoded) >= top
        assert sum(map(len, encoded.values())) <= budget
    assert set(thumbnails(report, 10_000)) < top
