"""A world of plain colours in which every neuron's function is known."""

from collections.abc import Sequence

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import Normalize

COLOURS = {
    "red": (1.0, 0.0, 0.0),
    "green": (0.0, 1.0, 0.0),
    "blue": (0.0, 0.0, 1.0),
    "white": (1.0, 1.0, 1.0),
}
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.5)


class ColourEncoder:
    """An image-text encoder that knows the colours' names."""

    temperature = 1.0

    def __init__(self) -> None:
        self.num_encoded = 0

    def encode_images(self, images: Tensor) -> Tensor:
        self.num_encoded += len(images)
        colours = images.to(torch.float32).mean(dim=(2, 3)) / 255 + 1e-3
        return nn.functional.normalize(colours, dim=-1).cpu()

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        return nn.functional.normalize(torch.tensor([COLOURS[text] for text in texts]), dim=-1)

    def fingerprint(self) -> str:
        return "colours"


class ColourDataset(Dataset):
    """Noisy images of one colour each, normalised like a user's dataset, with the colour's index as class."""

    def __init__(self, num_images: int = 24, size: int = 8) -> None:
        generator = torch.Generator().manual_seed(0)
        palette = torch.tensor(list(COLOURS.values()))
        self.classes = torch.arange(num_images) % len(COLOURS)
        brightness = 0.5 + 0.5 * torch.rand(num_images, 1, generator=generator)
        plain = (palette[self.classes] * brightness)[:, :, None, None].expand(-1, -1, size, size)
        self.images = (plain + 0.05 * torch.rand(plain.shape, generator=generator)).clamp(0, 1)
        self.transform = Normalize(MEAN, STD)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.images[index]), int(self.classes[index])


def colour_network() -> nn.Sequential:
    """A network whose first layer has a unit per channel and a dead one."""
    network = nn.Sequential()
    network.add_module("paint", nn.Conv2d(3, 4, 1))
    network.add_module("act", nn.ReLU(inplace=True))
    network.add_module("pool", nn.AdaptiveAvgPool2d(1))
    network.add_module("flat", nn.Flatten())
    network.add_module("head", nn.Linear(4, len(COLOURS)))
    with torch.no_grad():
        network.paint.weight.zero_()
        network.paint.bias.copy_(torch.tensor([-0.2, -0.2, -0.2, 0.0]))
        for unit in range(3):
            network.paint.weight[unit, :, 0, 0] = -0.5
            network.paint.weight[unit, unit, 0, 0] = 1.0
    return network


class ColourModule(LightningModule):
    """Trains the colour network; the learning rate decides whether its units move."""

    def __init__(self, learning_rate: float = 0.0, num_images: int = 24, batch_size: int = 8) -> None:
        super().__init__()
        self.net = colour_network()
        self.learning_rate = learning_rate
        self.data = ColourDataset(num_images)
        self.batch_size = batch_size

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images)

    def training_step(self, batch, batch_idx):
        images, classes = batch
        return nn.functional.cross_entropy(self(images), classes)

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        images, classes = batch
        self.log("val_loss", nn.functional.cross_entropy(self(images), classes))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.learning_rate)

    def train_dataloader(self):
        return DataLoader(self.data, batch_size=self.batch_size, shuffle=True)

    def val_dataloader(self):
        return DataLoader(self.data, batch_size=self.batch_size)


class RecordingWriter:
    """Keeps every report it is given."""

    def __init__(self) -> None:
        self.reports = []

    def write(self, report, loggers) -> None:
        self.reports.append(report)


def num_hooks(module: nn.Module) -> int:
    return sum(len(child._forward_hooks) + len(child._forward_pre_hooks) for child in module.modules())
