import numpy as np
import pytest
import torch
from open_clip.transform import PreprocessCfg, center_crop_or_pad, image_transform_v2
from PIL import Image
from torch import Tensor

from lightning_dissect.encoders.image_preprocessing import ImagePreprocessing, centre_crop_or_pad, check_images

HALF = (0.5, 0.5, 0.5)


def photo(height: int, width: int) -> Tensor:
    """A smooth picture with an edge in it, as photos have."""
    rows, columns = torch.meshgrid(torch.linspace(0, 5, height), torch.linspace(0, 7, width), indexing="ij")
    picture = torch.stack([rows.sin() * columns.cos(), (rows + columns).sin(), (columns > 3) * 1.8 - 0.9])
    return ((picture + 1) * 127.5).to(torch.uint8)[None]


@pytest.mark.parametrize("shape", [(64, 64), (50, 81), (81, 50), (300, 200), (32, 32)])
@pytest.mark.parametrize("resize", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_agrees_with_the_pipeline_for_pictures(shape: tuple[int, int], resize: str, interpolation: str) -> None:
    image = photo(*shape)
    mean, std = (0.48, 0.46, 0.41), (0.27, 0.26, 0.28)
    reference = image_transform_v2(
        PreprocessCfg(32, mean=mean, std=std, resize_mode=resize, interpolation=interpolation), False
    )
    expected = reference(Image.fromarray(image[0].permute(1, 2, 0).numpy()))
    ours = ImagePreprocessing((32, 32), mean, std, resize, interpolation=interpolation)(image)[0]
    levels = (ours - expected) * torch.tensor(std).reshape(3, 1, 1) * 255
    assert levels.abs().max() < 1.5
    assert levels.abs().mean() < 0.1


def test_crop_keeps_the_middle_of_a_larger_image() -> None:
    preprocessing = ImagePreprocessing((224, 224), HALF, HALF, crop=0.875)
    assert preprocessing.resized(300, 400) == (256, 341)
    assert preprocessing(photo(256, 256)).shape == (1, 3, 224, 224)
    image = photo(256, 256)
    expected = image[..., 16:240, 16:240].float() / 127.5 - 1
    torch.testing.assert_close(preprocessing(image), expected)


@pytest.mark.parametrize("size", [(4, 4), (9, 3), (3, 9), (8, 11)])
def test_crop_or_pad_agrees_with_torchvision(size: tuple[int, int]) -> None:
    image = torch.arange(2 * 3 * 7 * 6.0).reshape(2, 3, 7, 6)
    torch.testing.assert_close(centre_crop_or_pad(image, size, 5), center_crop_or_pad(image, list(size), 5))


def test_images_of_a_batch_do_not_touch_each_other() -> None:
    preprocessing = ImagePreprocessing((16, 16), HALF, HALF)
    batch = torch.cat([photo(40, 50), photo(40, 50).flip(-1)])
    assert torch.equal(preprocessing(batch)[1:], preprocessing(batch[1:]))


@pytest.mark.parametrize("wrong", [{"resize": "stretch"}, {"interpolation": "nearest"}, {"crop": 0.0}, {"crop": 1.1}])
def test_unknown_settings_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match=f"Expected `{next(iter(wrong))}`"):
        ImagePreprocessing((8, 8), HALF, HALF, **wrong)


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 1, 8, 8), (0, 3, 8, 8), (1, 8, 8, 3)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="shape"):
        check_images(torch.zeros(shape, dtype=torch.uint8))


def test_floats_are_refused() -> None:
    with pytest.raises(ValueError, match=r"uint8 but got torch\.float32"):
        check_images(torch.from_numpy(np.zeros((1, 3, 8, 8), dtype=np.float32)))
