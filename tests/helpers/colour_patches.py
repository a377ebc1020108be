"""Images of coloured patches on noise, and an encoder that sees how much of each colour there is."""

import torch
from torch.nn.functional import normalize

from lightning_dissect.probe import content_ids
from lightning_dissect.refine.base import ImagePool

COLOURS = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "cyan": (0, 255, 255),
    "magenta": (255, 0, 255),
}
SIDE = 8


def patch_scores(images):
    """Share of pixels of each pure colour, shape ``(images, colours)``."""
    pure = torch.tensor(list(COLOURS.values()), dtype=torch.uint8).view(len(COLOURS), 3, 1, 1)
    return torch.stack([(images == colour).all(dim=1).float().mean(dim=(1, 2)) for colour in pure], dim=1)


def patched_images(count, seed=0, share=0.3):
    """Grey noise with, for each colour and with the given probability, a patch of two by two pixels in its place."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(40, 200, (count, 3, SIDE, SIDE), dtype=torch.uint8, generator=generator)
    shown = torch.rand(count, len(COLOURS), generator=generator) < share
    for index, colour in enumerate(COLOURS.values()):
        row, column = 2 * (index // 3), 2 * (index % 3)
        rows = shown[:, index].nonzero().squeeze(1)
        images[rows, :, row : row + 2, column : column + 2] = torch.tensor(colour, dtype=torch.uint8).view(1, 3, 1, 1)
    return images, shown


class ColourEncoder:
    """Colours in six dimensions and the overall brightness in a seventh; counts what it is asked."""

    temperature = 1.0
    batch_size = 64

    def __init__(self):
        self.images = 0

    def encode_images(self, images):
        self.images += len(images)
        brightness = images.float().mean(dim=(1, 2, 3))[:, None] / 2550
        return normalize(torch.cat([patch_scores(images), brightness], dim=1), dim=1)

    def encode_texts(self, texts):
        words = [next((word for word in COLOURS if word in text.lower()), "") for text in texts]
        axes = torch.eye(len(COLOURS) + 1)
        mixed = normalize(axes.sum(dim=0), dim=0)
        return torch.stack([axes[list(COLOURS).index(word)] if word else mixed for word in words])

    def fingerprint(self):
        return "colour patches"


def pool_of(images):
    return ImagePool(images, content_ids(images))
