import io

import numpy as np
import pytest
from PIL import Image

from lightning_dissect.report.marks import NO, YES
from lightning_dissect.report.montage import (
    BACKGROUND,
    PLACEHOLDER,
    jpeg_bytes,
    layer_montage,
    montage,
    neuron_montage,
    tile,
    tiles,
)
from lightning_dissect.types import LayerDissection, NeuronLabel
from tests.helpers.small_report import evaluated_report, labelled, picture, small_report


def test_a_large_image_keeps_its_centre():
    image = np.zeros((100, 300, 3), dtype=np.uint8)
    image[:, 100:200] = 200
    assert np.all(np.asarray(tile(image, 50)) == 200)


def test_a_small_image_is_enlarged_by_a_whole_factor_and_stays_sharp():
    image = np.zeros((2, 2, 3), dtype=np.uint8)
    image[0, 0] = (255, 0, 0)
    result = np.asarray(tile(image, 7))
    assert np.all(result[:3, :3] == (255, 0, 0))
    assert np.all(result[3:6, 3:6] == 0)
    assert np.all(result[6] == PLACEHOLDER)


def test_an_image_of_the_right_size_is_left_as_it_is():
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    assert np.array_equal(np.asarray(tile(image, 16)), image)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), dtype=np.uint8),
        np.zeros((4, 4, 4), dtype=np.uint8),
        np.zeros((4, 4, 3), dtype=np.float32),
        np.zeros((0, 4, 3), dtype=np.uint8),
    ],
)
def test_what_is_no_rgb_picture_is_refused(image):
    with pytest.raises(ValueError, match="Expected `image` to be a non-empty uint8 array"):
        tile(image, 8)


def test_sizes_must_be_positive():
    with pytest.raises(ValueError, match="Expected `size` to be greater than 0"):
        tile(None, 0)
    with pytest.raises(ValueError, match="Expected `columns` to be greater than 0"):
        montage([None], columns=0)
    with pytest.raises(ValueError, match="Expected `images` to hold at least one image"):
        montage([])


def test_montage_is_a_grid_with_gaps_and_placeholders():
    grid = np.asarray(montage([picture(1), picture(2), None], size=20, columns=2, gap=4))
    assert grid.shape == (44, 44, 3)
    assert np.all(grid[:20, :20] == picture(1)[0, 0])
    assert np.all(grid[:20, 24:] == picture(2)[0, 0])
    assert np.all(grid[24, 0] == PLACEHOLDER)
    assert np.all(grid[20:24] == BACKGROUND)
    assert np.all(grid[24:, 24:] == BACKGROUND)


def test_more_columns_than_images_add_no_width():
    assert montage([None], size=20, columns=5).size == (20, 20)


def test_neuron_montage_shows_a_placeholder_for_a_missing_picture():
    report = small_report()
    row = np.asarray(neuron_montage(report.layers[1].neurons[3], report.images, size=20))
    assert np.all(row[:, :20] == picture(6)[0, 0])
    assert np.all(row[0, 24] == PLACEHOLDER)
    assert neuron_montage(NeuronLabel("head", 0, "dead"), report.images) is None


def test_tiles_give_the_same_montage():
    report = small_report()
    neuron = report.neurons[0]
    direct = neuron_montage(neuron, report.images, size=24)
    assert np.array_equal(np.asarray(direct), np.asarray(neuron_montage(neuron, tiles(report.images, 24), size=24)))


def test_layer_montage_holds_the_best_first_with_a_caption():
    report = small_report()
    sheet = layer_montage(report.layers[1], report.images, size=32)
    pixels = np.asarray(sheet)
    first = int(np.argmax(np.all(pixels == picture(6)[0, 0], axis=2).any(axis=1)))
    second = int(np.argmax(np.all(pixels == picture(2)[0, 0], axis=2).any(axis=1)))
    assert 0 < first < second
    assert pixels[:first].min() < 100


def test_layer_montage_shortens_a_long_label_and_takes_any_letters():
    layer = LayerDissection("fc", (labelled("fc", 0, "x" * 500, 0.5), labelled("fc", 1, "猫\nline", 0.4)))
    assert layer_montage(layer, {}, size=32).width < 400


def test_layer_montage_of_nothing_to_show_is_none():
    assert layer_montage(LayerDissection("fc", (NeuronLabel("fc", 0, "dead"),)), {}) is None


def test_jpeg_bytes_can_be_read_back():
    image = Image.open(io.BytesIO(jpeg_bytes(montage([picture(3)], size=32))))
    assert image.format == "JPEG"
    assert np.abs(np.asarray(image).astype(int) - picture(3)[0, 0].astype(int)).max() <= 4


def test_top_images_are_marked_by_the_answers_of_a_judge():
    report = evaluated_report()
    row = np.asarray(neuron_montage(report.layers[1].neurons[3], report.images, size=40, judge="vqa"))
    assert np.all(row[:, 0] == YES)
    assert np.all(row[:, 44] == NO)
    assert np.all(row[20, 20] == picture(6)[0, 0])
    unanswered = np.asarray(neuron_montage(report.neurons[1], report.images, size=40, judge="vqa"))
    assert np.all(unanswered[:, :40] == picture(1)[0, 0])
    assert np.all(unanswered[:, 44] == YES)


def test_a_judge_of_other_neurons_marks_nothing():
    report = evaluated_report()
    marked, plain = (
        np.asarray(neuron_montage(report.neurons[-1], report.images, 24, judge)) for judge in ("proportion", "")
    )
    assert np.array_equal(marked, plain)


def test_answers_must_be_one_per_image():
    with pytest.raises(ValueError, match="Expected `answers` to be 2, one per image, but got 1"):
        montage([None, None], answers=[True])


def test_layer_montage_says_what_the_judge_says():
    report = evaluated_report()
    plain, judged = (
        np.asarray(layer_montage(report.layers[1], report.images, size=48, judge=judge)) for judge in ("", "vqa")
    )
    assert np.any(np.all(judged == YES, axis=2))
    assert not np.any(np.all(plain == YES, axis=2))
    assert judged.shape[1] > plain.shape[1]
