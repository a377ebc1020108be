"""A world of patterns stamped into noise, in which some units find a pattern and random weights find none.

Every image also is bright or dark, which any filter tells apart: labels of random weights speak of nothing else.
"""

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

PATTERNS = [f"pattern {number}" for number in range(7)]
TWIN = "twin of pattern 0"
CONCEPTS = [*PATTERNS, TWIN, "bright"]
PLANTED, DEAD, UNITS = 16, 31, 32
IMAGES = 160
SIDE = 5


def patterns() -> Tensor:
    """Filters of mean 0 that find the patterns, shape ``(patterns, 3, SIDE, SIDE)``."""
    signs = torch.rand(len(PATTERNS), 3 * SIDE * SIDE, generator=torch.Generator().manual_seed(0)).argsort(dim=1)
    return (2.0 * (signs % 2) - 1).reshape(-1, 3, SIDE, SIDE)


class PlantedDataset(Dataset):
    """Images in ``[0, 1]`` with some of the patterns in each, and which concepts are in them; at most `IMAGES`."""

    def __init__(self, num_images: int = IMAGES, size: int = 12) -> None:
        generator = torch.Generator().manual_seed(1)
        self.presence = (torch.rand(IMAGES, len(CONCEPTS), generator=generator) < 0.25).float()
        self.presence[:, -2] = self.presence[:, 0]
        self.presence[:2, -2] = 1 - self.presence[:2, 0]
        noise = 0.25 + 0.5 * torch.rand(IMAGES, 3, size, size, generator=generator)
        self.images = noise + 0.2 * self.presence[:, -1, None, None, None]
        corners = torch.randint(size - SIDE + 1, (IMAGES, len(PATTERNS), 2), generator=generator)
        stamps = 0.5 + 0.4 * patterns()
        for image, number in self.presence[:, : len(PATTERNS)].nonzero().tolist():
            top, left = corners[image, number].tolist()
            self.images[image, :, top : top + SIDE, left : left + SIDE] = stamps[number]
        self.images, self.presence = self.images[:num_images], self.presence[:num_images]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.images[index], self.presence[index]


def random_network(**extra: nn.Module) -> nn.Sequential:
    """A network that has learned nothing; ``extra`` stands between its first layer and the next."""
    torch.manual_seed(3)
    layers = {"conv": nn.Conv2d(3, UNITS, SIDE), **extra, "act": nn.ReLU(), "pool": nn.AdaptiveAvgPool2d(1)}
    layers |= {"flat": nn.Flatten(), "head": nn.Linear(UNITS, len(CONCEPTS))}
    network = nn.Sequential()
    for name, layer in layers.items():
        network.add_module(name, layer)
    return network


def planted_network() -> nn.Sequential:
    """A network whose first units find the patterns, in turn; the last is dead."""
    network = random_network()
    with torch.no_grad():
        for unit in range(PLANTED):
            network.conv.weight[unit] = patterns()[unit % len(PATTERNS)]
            network.conv.bias[unit] = -18.0
        network.conv.weight[DEAD], network.conv.bias[DEAD] = 0.0, -1.0
    return network


class PlantedModule(LightningModule):
    """Trains a network on the patterns."""

    def __init__(self, net: nn.Module | None = None, learning_rate: float = 0.0, num_images: int = IMAGES) -> None:
        super().__init__()
        self.net = planted_network() if net is None else net
        self.learning_rate = learning_rate
        self.data = PlantedDataset(num_images)

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images)

    def training_step(self, batch, batch_idx):
        images, presence = batch
        return nn.functional.binary_cross_entropy_with_logits(self(images), presence)

    def validation_step(self, batch, batch_idx):
        self(batch[0])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.learning_rate)

    def train_dataloader(self):
        return DataLoader(self.data, batch_size=32, shuffle=True)

    def val_dataloader(self):
        return DataLoader(self.data, batch_size=32)
