import pytest
import torch

from lightning_dissect.probe import content_ids
from lightning_dissect.refine.base import ImagePool


def images(count, seed=0):
    return torch.randint(256, (count, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("count", [4, 5, 101])
def test_a_pool_is_split_for_good_by_content(count):
    some = images(count)
    pool, order = ImagePool(some, content_ids(some)), torch.randperm(count, generator=torch.Generator().manual_seed(1))
    shuffled = ImagePool(some[order], content_ids(some[order]))
    search, judging = pool.rows("search"), pool.rows("judging")
    assert sorted([*search.tolist(), *judging.tolist()]) == list(range(count))
    assert 0 <= len(search) - len(judging) <= 1
    assert set(shuffled.content_ids[shuffled.rows("search")].tolist()) == set(pool.content_ids[search].tolist())


@pytest.mark.parametrize(
    ("some", "ids", "message"),
    [
        (images(4).float(), torch.arange(4), "uint8 of shape"),
        (images(4)[:, :1], torch.arange(4), "uint8 of shape"),
        (images(4), torch.arange(3), "4 distinct ids"),
        (images(4), torch.tensor([1, 2, 3, 3]), "4 distinct ids"),
        (images(3), torch.arange(3), "at least 4 images"),
    ],
)
def test_a_pool_that_cannot_be_split_is_refused(some, ids, message):
    with pytest.raises(ValueError, match=message):
        ImagePool(some, ids)
