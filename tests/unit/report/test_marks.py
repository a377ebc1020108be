import numpy as np
import pytest
from PIL import Image

from lightning_dissect.report.marks import NO, OUTLINE, YES, marked

GROUND = (90, 120, 200)


def _pixels(size, answer):
    return np.asarray(marked(Image.new("RGB", (size, size), GROUND), answer)).astype(int)


@pytest.mark.parametrize(("answer", "colour"), [(True, YES), (False, NO)])
@pytest.mark.parametrize("size", [24, 56, 96, 112])
def test_a_mark_is_a_frame_and_a_badge_and_leaves_the_picture(size, answer, colour):
    pixels = _pixels(size, answer)
    for edge in (pixels[:, 0], pixels[-1], pixels[0, : size // 2]):
        assert np.all(edge == colour)
    middle = pixels[size // 3 : -size // 8, size // 8 : -size // 3]
    assert np.all(middle == GROUND)
    badge = pixels[: size // 4, -size // 4 :]
    assert np.abs(badge - OUTLINE).sum(axis=2).min() < 120


def test_tick_and_cross_differ_by_more_than_colour():
    yes, no = (
        np.asarray(Image.fromarray(_pixels(96, answer).astype(np.uint8)).convert("L"))[:24, -24:]
        for answer in (True, False)
    )
    strokes = [badge > 160 for badge in (yes, no)]
    assert all(30 < stroke.sum() < 300 for stroke in strokes)
    assert (strokes[0] != strokes[1]).sum() > 60
    cross = strokes[1][3:-3, 3:-3]
    assert (cross == cross[:, ::-1]).mean() > 0.9
    assert (strokes[0][3:-3, 3:-3] == strokes[0][3:-3, 3:-3][:, ::-1]).mean() < 0.9


def test_without_an_answer_the_tile_is_left_as_it_is():
    assert np.all(_pixels(48, None) == GROUND)


def test_marking_leaves_the_tile_itself_alone():
    tile = Image.new("RGB", (48, 48), GROUND)
    marked(tile, True)
    assert np.all(np.asarray(tile) == GROUND)
