"""From uint8 images to what an image tower was trained on, on tensors."""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor


@dataclass(frozen=True)
class ImagePreprocessing:
    """Resizes with antialiasing, crops or pads around the centre, scales to [0, 1] and normalises.

    The resized image is rounded to whole grey levels, as it is where images are resized as pictures: models see the
    same pixels here as in their own pipelines, within one grey level.

    Args:
        size: Height and width that the model takes, in pixels.
        mean: Mean per channel, of images in ``[0, 1]``.
        std: Standard deviation per channel.
        resize: ``"shortest"`` scales until the image covers the target and crops; ``"longest"`` scales until it fits
            into the target and pads; ``"squash"`` gives up the aspect.
        crop: Share of the resized image that the crop keeps along each side, in ``(0, 1]``.
        interpolation: ``"bicubic"`` or ``"bilinear"``.
        fill: Grey level of padding, 0 to 255.

    Example:
        >>> preprocessing = ImagePreprocessing(size=(4, 4), mean=(0.5,) * 3, std=(0.5,) * 3)
        >>> preprocessing(torch.full((1, 3, 8, 12), 255, dtype=torch.uint8)).unique()
        tensor([1.])

    """

    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: Literal["shortest", "longest", "squash"] = "shortest"
    crop: float = 1.0
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    fill: int = 0

    def __post_init__(self) -> None:
        if self.resize not in ("shortest", "longest", "squash"):
            raise ValueError(f"Expected `resize` to be 'shortest', 'longest' or 'squash' but got {self.resize!r}.")
        if self.interpolation not in ("bicubic", "bilinear"):
            raise ValueError(f"Expected `interpolation` to be 'bicubic' or 'bilinear' but got {self.interpolation!r}.")
        if not 0 < self.crop <= 1:
            raise ValueError(f"Expected `crop` to be in (0, 1] but got {self.crop}.")

    def __call__(self, images: Tensor) -> Tensor:
        """Preprocess a batch.

        Args:
            images: Shape ``(images, 3, height, width)``, uint8, on any device.

        Returns:
            Shape ``(images, 3, *size)``, float32, on the same device.

        """
        pixels = images
        height, width = resized = self.resized(images.shape[-2], images.shape[-1])
        if resized != tuple(images.shape[-2:]):
            # Only the CPU resizes bytes; there the result is that of PIL.
            source = images if images.device.type == "cpu" else images.float()
            pixels = F.interpolate(source, size=[height, width], mode=self.interpolation, antialias=True)
        pixels = pixels.float().clamp(0, 255).round()
        pixels = centre_crop_or_pad(pixels, self.size, self.fill) / 255
        mean, std = (pixels.new_tensor(value).reshape(-1, 1, 1) for value in (self.mean, self.std))
        return (pixels - mean) / std

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width of an image after resizing, before the crop.

        Args:
            height: Height of the image in pixels.
            width: Its width.

        """
        target_height, target_width = (int(side / self.crop) for side in self.size)
        if self.resize == "squash":
            return target_height, target_width
        by_height = height * target_width <= width * target_height
        if self.resize == "longest":
            if by_height:
                return max(1, round(height * target_width / width)), target_width
            return target_height, max(1, round(width * target_height / height))
        if by_height:
            return target_height, width * target_height // height
        return height * target_width // width, target_width


def centre_crop_or_pad(images: Tensor, size: tuple[int, int], fill: float = 0) -> Tensor:
    """Cut the centre out of images, after padding the sides that are too short.

    Args:
        images: Shape ``(images, channels, height, width)``.
        size: Height and width of the result.
        fill: Value of the padding.

    Returns:
        Shape ``(images, channels, *size)``.

    Example:
        >>> centre_crop_or_pad(torch.ones(1, 1, 1, 4), (3, 2))
        tensor([[[[0., 0.],
                  [1., 1.],
                  [0., 0.]]]])

    """
    missing_height, missing_width = (max(0, side - have) for side, have in zip(size, images.shape[-2:], strict=True))
    padding = [missing_width // 2, (missing_width + 1) // 2, missing_height // 2, (missing_height + 1) // 2]
    padded = F.pad(images, padding, value=fill)
    top, left = (round((have - side) / 2) for side, have in zip(size, padded.shape[-2:], strict=True))
    return padded[..., top : top + size[0], left : left + size[1]]


def check_images(images: Tensor) -> None:
    """Check that images come as every encoder takes them.

    Args:
        images: What should be RGB images, shape ``(images, 3, height, width)``, uint8.

    Raises:
        ValueError:
            If shape or dtype differ or there is no image.

    """
    if images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape:
        raise ValueError(
            f"Expected `images` to be a non-empty batch of shape (images, 3, height, width) but got shape "
            f"{tuple(images.shape)}; expand grey images to three channels."
        )
    if images.dtype != torch.uint8:
        raise ValueError(
            f"Expected `images` to be uint8 but got {images.dtype}; undo the normalisation and scale to 0..255."
        )
