import pytest
import torch

from lightning_dissect.probe import content_ids
from lightning_dissect.refine import PoolSampler


def images(count=40, side=4, seed=0):
    return torch.randint(256, (count, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def sampled(batches, **settings):
    sampler = PoolSampler(**{"num_images": 10, **settings})
    for batch in batches:
        sampler.update(batch, content_ids(batch))
    return sampler.pool()


@pytest.mark.parametrize("size", [1, 3, 40])
def test_the_sample_does_not_depend_on_order_or_batches(size):
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    whole, other = sampled([images()]), sampled(images()[order].split(size))
    assert set(whole.content_ids.tolist()) == set(other.content_ids.tolist())
    assert len(whole.images) == 10
    assert torch.equal(content_ids(other.images), other.content_ids)


def test_an_image_that_comes_again_is_kept_once():
    pool = sampled([images(6), images(6), images(6).flip(0)])
    assert len(pool.content_ids.unique()) == len(pool.images) == 6


def test_the_bytes_are_bounded():
    assert len(sampled([images()], max_bytes=7 * 48).images) == 7


def test_images_of_another_size_are_left_out():
    pool = sampled([images(5), images(9, side=6), images(5, seed=2)])
    assert len(pool.images) == 10
    assert pool.images.shape[1:] == (3, 4, 4)


def test_what_was_seen_can_be_forgotten():
    sampler = PoolSampler()
    sampler.update(images(), content_ids(images()))
    sampler.clear()
    sampler.update(images(2), content_ids(images(2)))
    sampler.update(images(0), content_ids(images(0)))
    with pytest.raises(ValueError, match="at least 4 different images for a search but 2"):
        sampler.pool()


@pytest.mark.parametrize("name", ["num_images", "max_bytes"])
def test_no_room_is_refused(name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        PoolSampler(**{name: 0})


def test_the_pool_does_not_share_memory_with_the_batch():
    batch = images(5)
    sampler = PoolSampler()
    sampler.update(batch, content_ids(batch))
    batch.zero_()
    assert sampler.pool().images.any()
