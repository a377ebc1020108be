import numpy as np
import pytest
import torch

from lightning_dissect.probe import Thumbnails
from lightning_dissect.probe import thumbnails as module


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


def test_the_budget_is_never_exceeded_whatever_comes():
    thumbnails = Thumbnails(size=8, budget=1000)
    for start in range(0, 60, 6):
        thumbnails.update(torch.arange(start, start + 6), images(6, height=9 + start, width=7))
        assert thumbnails.num_bytes <= 1000
        if thumbnails.full:
            thumbnails.make_room(range(start))
            assert not thumbnails.full
    thumbnails.add(99, np.zeros((100, 100, 3), dtype=np.uint8))
    assert thumbnails.full
    assert thumbnails.pictures([99]) == {}


def test_pictures_get_smaller_where_many_are_shown():
    thumbnails = Thumbnails(size=128, budget=4 * 128 * 64 * 3)
    thumbnails.update(torch.arange(6), images(6, value=7, height=256, width=128))
    assert (len(thumbnails), thumbnails.size) == (4, 128)
    thumbnails.make_room([0, 1, 2, 9])
    assert (thumbnails.size, len(thumbnails), thumbnails.full) == (64, 3, False)
    assert {picture.shape for picture in thumbnails.pictures(range(3)).values()} == {(64, 32, 3)}
    assert thumbnails.num_bytes == 3 * 64 * 32 * 3
    assert int(thumbnails.pictures([1])[1].min()) == 7
    thumbnails.update(torch.tensor([5]), images(1, height=256, width=128))
    assert thumbnails.pictures([5])[5].shape == (64, 32, 3)


def test_pictures_do_not_get_smaller_than_can_be_seen():
    thumbnails = Thumbnails(size=20, budget=20 * 20 * 3)
    thumbnails.update(torch.arange(1), images(1, height=20, width=20))
    thumbnails.make_room([0])
    assert thumbnails.size == 16
    assert thumbnails.num_bytes > thumbnails.budget // 2


def test_images_are_shrunk_a_few_at_a_time(monkeypatch):
    whole, few = Thumbnails(size=4), Thumbnails(size=4)
    random = torch.randint(0, 256, (7, 3, 9, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    whole.update(torch.arange(7), random)
    monkeypatch.setattr(module, "_ELEMENTS_AT_ONCE", 2 * 3 * 9 * 5)
    few.update(torch.arange(7), random)
    for sample_id in range(7):
        assert np.array_equal(whole.pictures([sample_id])[sample_id], few.pictures([sample_id])[sample_id])


@pytest.mark.parametrize("options", [{"size": 0}, {"budget": 0}])
def test_bad_arguments(options):
    with pytest.raises(ValueError, match=f"Expected `{next(iter(options))}` to be greater than 0"):
        Thumbnails(**options)
