"""From images of any origin to what a network is fed in its validation."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from lightning_dissect.probe.normalisation import Normalisation


@dataclass(frozen=True)
class ModelInput:
    """The form of a validation's images: size, channels, dtype and normalisation.

    Args:
        size: Height and width in pixels. Images of another size are scaled until they cover it, and cropped in the
            middle.
        channels: 3 for colours, 1 for grey.
        dtype: Of the network's input; uint8 stays as it is, and nothing is normalised.
        normalisation: What images in ``[0, 1]`` are standardised by, if anything.

    Example:
        >>> form = ModelInput((2, 2), normalisation=Normalisation((0.5,), (0.25,)))
        >>> form(torch.full((1, 3, 4, 8), 255, dtype=torch.uint8)).unique(), form(torch.zeros(1, 3, 2, 2).byte()).shape
        (tensor([2.]), torch.Size([1, 3, 2, 2]))

    """

    size: tuple[int, int]
    channels: int = 3
    dtype: torch.dtype = torch.float32
    normalisation: Normalisation | None = None

    def __call__(self, images: Tensor) -> Tensor:
        """Return images as the network takes them.

        Args:
            images: RGB images, shape ``(images, 3, height, width)``, uint8.

        Returns:
            Shape ``(images, channels, *size)``.

        """
        height, width = images.shape[-2:]
        if (height, width) != self.size:
            scale = max(self.size[0] / height, self.size[1] / width)
            covering = [max(self.size[0], round(height * scale)), max(self.size[1], round(width * scale))]
            images = functional.center_crop(functional.resize(images, covering, antialias=True), list(self.size))
        if self.channels == 1:
            images = functional.rgb_to_grayscale(images)
        if self.dtype == torch.uint8:
            return images
        values = images.float() / 255
        return (values if self.normalisation is None else self.normalisation.apply(values)).to(self.dtype)
