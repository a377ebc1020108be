from collections import UserDict, namedtuple
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.tv_tensors import Image

from lightning_dissect.probe.images import find_images, find_targets, out_of_range, to_uint8
from lightning_dissect.probe.normalisation import Normalisation

IMAGES = torch.zeros(2, 3, 4, 4)
LABELS = torch.tensor([1, 0])


@dataclass
class Batch:
    features: Tensor
    pixel_values: Tensor


Pair = namedtuple("Pair", ["x", "y"])


@pytest.mark.parametrize(
    "batch",
    [
        IMAGES,
        (IMAGES, LABELS),
        [LABELS, IMAGES],
        {"label": LABELS, "anything": IMAGES},
        UserDict(pixel_values=IMAGES),
        Batch(torch.ones(2, 3, 4, 4), IMAGES),
        Pair(IMAGES, LABELS),
        {"mask": torch.ones(2, 1, 4, 4), "image": IMAGES},
        ({"a": (IMAGES, LABELS), "b": (torch.ones(2, 3, 4, 4), LABELS)}, 0, 0),
        {"a": None, "b": [{"img": IMAGES, "alpha": torch.ones(2, 1, 4, 4)}]},
        (torch.ones(2, 7, 4, 4), torch.ones(2, 3, 4, 4, dtype=torch.int64), torch.ones(2, 3, 4), IMAGES),
    ],
)
def test_find_images_anywhere(batch):
    assert find_images(batch) is (batch if isinstance(batch, Tensor) else IMAGES)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("channels", [1, 3])
def test_find_images_dtypes_and_channels(dtype, channels):
    images = torch.zeros(2, channels, 4, 4, dtype=dtype)
    assert find_images([images]) is images


def test_find_images_takes_tv_tensors():
    assert find_images((Image(torch.zeros(2, 3, 4, 4)), LABELS)).shape == (2, 3, 4, 4)


def test_find_images_says_what_it_saw_and_the_remedy():
    batch = {"tokens": torch.zeros(2, 9, dtype=torch.int64), "meta": [1, "a", {"k": torch.zeros(3)}], "n": 1}
    with pytest.raises(ValueError, match="image_fn") as error:
        find_images(batch)
    assert (
        "dict('tokens': int64 tensor (2, 9), 'meta': list(int, str, dict('k': float32 tensor (3,))), 'n': int)"
        in str(error.value)
    )


def test_long_batches_are_described_briefly():
    with pytest.raises(ValueError, match=r"list\(int, int, int, int, int, int, \.\.\.\)"):
        find_images(list(range(100)))


@pytest.mark.parametrize(
    "batch",
    [
        (IMAGES, LABELS),
        {"index": torch.arange(2), "labels": LABELS, "image": IMAGES},
        (IMAGES, torch.zeros(2, 5), [LABELS]),
    ],
)
def test_find_targets_prefers_class_indices(batch):
    assert find_targets(batch) is LABELS


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.float32])
def test_find_targets_takes_memberships(dtype):
    memberships = torch.tensor([[1, 0], [0, 1]]).to(dtype)
    assert find_targets((IMAGES, torch.full((2, 4), 7), torch.zeros(2), memberships)) is memberships


def test_find_targets_names_the_remedy():
    with pytest.raises(ValueError, match="target_fn"):
        find_targets((IMAGES, torch.full((2, 4), 7.0), torch.ones(2, dtype=torch.bool)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_normalised_images_come_back_exactly(dtype):
    pixels = torch.randint(0, 256, (4, 3, 9, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    normalised = v2.Compose([v2.ToDtype(dtype, scale=True), v2.Normalize(mean, std)])(pixels)
    before = normalised.clone()
    assert torch.equal(to_uint8(normalised, Normalisation(tuple(mean), tuple(std))), pixels)
    assert torch.equal(normalised, before)


def test_every_uint8_value_survives():
    pixels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16).repeat(2, 3, 1, 1)
    assert torch.equal(to_uint8(pixels), pixels)
    assert torch.equal(to_uint8(pixels, Normalisation((0.5,), (0.5,))), pixels)
    assert torch.equal(to_uint8(pixels.float() / 255), pixels)
    assert torch.equal(to_uint8(pixels.double() / 255), pixels)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(dtype):
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)).to(dtype)
    expected = ((images.float() * 0.25 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)
    assert torch.equal(to_uint8(images, Normalisation((0.5,), (0.25,))), expected)


@pytest.mark.parametrize("denormalize", [None, Normalisation((0.4,), (0.3,)), lambda images: images * 0.1 + 0.5])
def test_the_split_into_batches_does_not_count(denormalize):
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(7, 3, 11, 13, generator=generator)
    images[3] = images[3].sigmoid()
    whole = to_uint8(images, denormalize)
    parts = torch.cat([to_uint8(part, denormalize) for part in images.split([1, 4, 2])])
    assert torch.equal(whole, parts)
    assert torch.equal(to_uint8(images.contiguous(memory_format=torch.channels_last), denormalize), whole)


def test_unknown_normalisation_stretches_each_image_by_itself():
    images = torch.stack([torch.full((3, 2, 2), 0.25), torch.arange(12.0).reshape(3, 2, 2) - 5])
    assert out_of_range(images).tolist() == [False, True]
    result = to_uint8(images)
    assert result[0].unique().tolist() == [64]
    assert (result[1].min(), result[1].max()) == (0, 255)


def test_slight_overshoot_is_clamped_not_stretched():
    images = torch.tensor([-0.04, 0.5, 1.04, 1.0]).reshape(1, 1, 2, 2)
    assert not out_of_range(images).any()
    assert to_uint8(images)[0, 0].flatten().tolist() == [0, 128, 255, 255]


def test_out_of_range_is_false_for_uint8():
    assert not out_of_range(torch.full((2, 3, 2, 2), 255, dtype=torch.uint8)).any()


def test_values_that_are_not_finite_do_not_spread():
    images = torch.tensor([0.5, torch.nan, torch.inf, -torch.inf]).reshape(1, 1, 2, 2)
    assert to_uint8(images)[0, 0].flatten().tolist() == [128, 0, 255, 0]
    assert to_uint8(torch.full((1, 1, 2, 2), torch.nan)).unique().tolist() == [0]
    assert to_uint8(torch.full((1, 1, 2, 2), 9.0)).unique().tolist() == [0]


def test_grey_becomes_three_equal_channels_and_is_a_copy():
    pixels = torch.arange(8, dtype=torch.uint8).reshape(2, 1, 2, 2)
    result = to_uint8(pixels)
    assert result.shape == (2, 3, 2, 2)
    assert all(torch.equal(result[:, channel], pixels[:, 0]) for channel in range(3))
    result.fill_(9)
    assert pixels.flatten().tolist() == list(range(8))


def test_no_images_is_no_error():
    assert to_uint8(torch.zeros(0, 3, 4, 4)).shape == (0, 3, 4, 4)
    assert out_of_range(torch.zeros(0, 3, 4, 4)).shape == (0,)


def test_a_callable_may_write_into_its_argument_and_return_uint8():
    images = torch.rand(2, 3, 4, 4)
    before = images.clone()
    result = to_uint8(images, lambda copy: copy.mul_(0).to(torch.uint8))
    assert torch.equal(images, before)
    assert result.unique().tolist() == [0]


@pytest.mark.parametrize(
    ("images", "denormalize", "message"),
    [
        (torch.zeros(3, 4, 4), None, r"`images`.*float32 tensor \(3, 4, 4\)"),
        (torch.zeros(1, 3, 4, 4, dtype=torch.int64), None, "int64"),
        (torch.zeros(1, 4, 4, 4), None, "1 or 3"),
        (torch.zeros(1, 3, 4, 4), lambda images: images.long(), "denormalize"),
        (torch.zeros(1, 3, 4, 4), lambda images: images[:, :1], "keep the shape"),
        (torch.zeros(1, 3, 4, 4), lambda images: None, "NoneType"),
        (torch.zeros(1, 1, 4, 4), Normalisation((0.1, 0.2, 0.3), (1, 1, 1)), "3 channels"),
    ],
)
def test_bad_images_are_named(images, denormalize, message):
    with pytest.raises(ValueError, match=message):
        to_uint8(images, denormalize)


def test_inference_tensors_are_taken():
    with torch.inference_mode():
        images = torch.rand(2, 3, 4, 4)
    assert to_uint8(images).shape == (2, 3, 4, 4)
