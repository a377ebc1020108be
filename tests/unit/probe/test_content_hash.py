import struct

import pytest
import torch

from lightning_dissect.probe import content_hash as module
from lightning_dissect.probe.content_hash import content_ids
from lightning_dissect.probe.sample_ids import index_ids, locate

MASK = 2**64 - 1


def splitmix64(count):
    """The reference generator in Python's unbounded integers, started at 0."""
    state = 0
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) & MASK
        mixed = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & MASK
        yield mixed ^ (mixed >> 31)


def slow_id(image):
    """The formula in Python's unbounded integers."""
    _, height, width = image.shape
    data = image.flatten().numpy().tobytes()
    data += bytes(-len(data) % 4)
    values = [height, width, *(word for (word,) in struct.iter_unpack("<i", data))]
    multipliers = list(splitmix64(2 * len(values)))
    lanes = [
        sum(factor * value for factor, value in zip(multipliers[lane::2], values, strict=True)) & MASK
        for lane in (0, 1)
    ]
    return 2**62 + 2**31 * (lanes[0] >> 33) + (lanes[1] >> 33)


def random_images(count, height=5, width=7, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=generator)


def test_first_value_of_the_generator():
    assert next(splitmix64(1)) == 0xE220A8397B1DCDAF


@pytest.mark.parametrize("size", [(5, 7), (4, 4), (1, 1), (2, 3), (16, 17)])
def test_equals_the_formula(size):
    images = random_images(4, *size)
    assert content_ids(images).tolist() == [slow_id(image) for image in images]


def test_the_way_of_other_devices_is_the_same():
    words = torch.randint(-(2**31), 2**31, (5, 300), generator=torch.Generator().manual_seed(0))
    lanes = module._multipliers(300, torch.device("cpu"))
    expected = torch.stack([(words * lane).sum(dim=1) for lane in lanes])
    assert torch.equal(module._multilinear(words, lanes), expected)


def test_unaligned_images():
    images = random_images(4, 4, 4)
    storage = torch.empty(images.numel() + 1, dtype=torch.uint8)
    unaligned = storage[1:].view(images.shape).copy_(images)
    assert torch.equal(content_ids(unaligned), content_ids(images))
    assert torch.equal(content_ids(torch.cat([images, images], dim=1)[:, :3]), content_ids(images))


@pytest.mark.parametrize("chunk", [1, 13, 1 << 20])
def test_neither_chunks_nor_batches_count(chunk, monkeypatch):
    images = random_images(9)
    expected = content_ids(images)
    monkeypatch.setattr(module, "_CHUNK_WORDS", chunk)
    assert torch.equal(content_ids(images), expected)
    assert torch.equal(torch.cat([content_ids(part) for part in images.split([1, 6, 2])]), expected)
    assert torch.equal(content_ids(images.contiguous(memory_format=torch.channels_last)), expected)


def test_no_collision_among_small_changes():
    base = random_images(1, 4, 4)[0]
    changed = [base]
    for place in range(base.numel()):
        for value in range(256):
            image = base.clone().flatten()
            image[place] = value
            changed.append(image.reshape(base.shape))
    images = torch.stack(changed).unique(dim=0)
    assert len(images) == 255 * base.numel() + 1
    assert len(content_ids(images).unique()) == len(images)


def test_no_collision_among_many_images():
    images = random_images(100_000, 2, 2)
    assert len(content_ids(images).unique()) == len(images)
    two_valued = (random_images(50_000, 8, 8, seed=1) > 127).to(torch.uint8).mul(128)
    assert len(content_ids(two_valued).unique()) == len(two_valued)


def test_place_and_size_count():
    image = random_images(1, 4, 6)
    variants = [
        image,
        image.flip(3),
        image.flip(2),
        image.flip(1),
        image.roll(1, 3),
        image.mT,
        image.reshape(1, 3, 6, 4),
    ]
    assert len({content_ids(variant).item() for variant in variants}) == len(variants)
    black = [torch.zeros(1, 3, height, width, dtype=torch.uint8) for height in range(1, 5) for width in range(1, 5)]
    assert len({content_ids(image).item() for image in black}) == 16


def test_never_an_index_id():
    ids = content_ids(random_images(1000))
    assert (ids >= 2**62).all()
    assert all(locate(id_) is None for id_ in ids.tolist())
    assert index_ids([2**40 - 1], 2**22 - 1).item() < 2**62


def test_bits_are_balanced():
    ids = content_ids(random_images(4000))
    ones = torch.stack([(ids >> bit) & 1 for bit in range(62)]).double().mean(dim=1)
    assert (ones - 0.5).abs().max() < 0.05


def test_empty():
    assert content_ids(torch.zeros(0, 3, 2, 2, dtype=torch.uint8)).shape == (0,)
    assert content_ids(torch.zeros(2, 3, 0, 2, dtype=torch.uint8)).unique().shape == (1,)


@pytest.mark.parametrize("images", [torch.zeros(1, 3, 2, 2), torch.zeros(3, 2, 2, dtype=torch.uint8)])
def test_bad_images(images):
    with pytest.raises(ValueError, match="4-D uint8"):
        content_ids(images)


def test_images_that_share_memory_have_the_ids_of_their_pixels():
    shared = torch.arange(6, dtype=torch.uint8).view(6, 1, 1, 1).expand(6, 3, 2, 2)
    assert torch.equal(content_ids(shared), content_ids(shared.clone()))
