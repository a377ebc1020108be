import numpy as np
import pytest
import torch

from lightning_dissect.probe import Thumbnails


def images(count, value=0, height=8, width=4):
    return torch.full((count, 3, height, width), value, dtype=torch.uint8)


def test_large_images_shrink_and_small_ones_stay():
    thumbnails = Thumbnails(size=8)
    thumbnails.update(torch.tensor([1]), images(1, height=32, width=16))
    thumbnails.update(torch.tensor([2]), images(1, height=5, width=3))
    held = thumbnails.pictures([1, 2])
    assert (held[1].shape, held[2].shape) == ((8, 4, 3), (5, 3, 3))


def test_the_first_picture_of_an_id_stays():
    thumbnails = Thumbnails()
    thumbnails.update(torch.tensor([1, 2]), images(2, value=10))
    thumbnails.update(torch.tensor([2, 3]), images(2, value=20))
    assert {key: int(picture[0, 0, 0]) for key, picture in thumbnails.pictures([1, 2, 3, 4]).items()} == {
        1: 10,
        2: 10,
        3: 20,
    }


def test_a_full_budget_drops_new_pictures_until_there_is_room():
    size = 8 * 4 * 3
    thumbnails = Thumbnails(budget=2 * size)
    thumbnails.update(torch.tensor([1, 2, 3]), images(3))
    assert thumbnails.full
    assert len(thumbnails) == 2
    thumbnails.update(torch.tensor([4]), images(1))
    thumbnails.add(5, np.zeros((8, 4, 3), dtype=np.uint8))
    assert len(thumbnails) == 2
    thumbnails.prune([2, 9])
    thumbnails.update(torch.tensor([4]), images(1))
    assert thumbnails.pictures(range(10)).keys() == {2, 4}


@pytest.mark.parametrize("options", [{"size": 0}, {"budget": 0}])
def test_bad_arguments(options):
    with pytest.raises(ValueError, match=f"Expected `{next(iter(options))}` to be greater than 0"):
        Thumbnails(**options)
