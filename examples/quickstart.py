"""Fine-tune a real pretrained network on real photos and watch what its neurons learn.

EfficientNet-Lite0 learns for three epochs to sort about 600 photos into groups. After each, every neuron of three
layers gets a label from ImageNet's class names. Labels come from the encoder that is assembled from packages, a
stand-in for a real CLIP: it knows photos and ImageNet's vocabulary. Weights & Biases is used in its offline mode.
"""

import argparse
from pathlib import Path

import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import WandbLogger
from photos import PhotoDataset, load_photos, split_photos
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from lightning_dissect import NeuronDissection
from lightning_dissect.encoders import load_efficientnet_lite
from lightning_dissect.writers import read_report

TRANSFORM = v2.Compose(
    [
        v2.PILToTensor(),
        v2.Resize(256, antialias=True),
        v2.CenterCrop(224),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize([0.5] * 3, [0.5] * 3),
    ]
)


class PhotoSorter(LightningModule):
    """A pretrained network with a new head. Nothing in it knows that its neurons are watched."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.net = load_efficientnet_lite("lite0").train()
        self.net.reset_classifier(num_classes)
        self.net.to(memory_format=torch.channels_last)

    def forward(self, images):
        return self.net(images)

    def training_step(self, batch, batch_idx):
        images, groups = batch
        return cross_entropy(self(images), groups)

    def validation_step(self, batch, batch_idx):
        images, groups = batch
        self.log("accuracy", (self(images).argmax(dim=1) == groups).float().mean(), prog_bar=True)

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=3e-4)


def main() -> None:
    """Train, then say where everything lies and what each epoch brought."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, help="folder of your own photos, one sub-folder per group")
    parser.add_argument("--epochs", type=int, default=3, help="epochs to train, 3 by default")
    parser.add_argument("--output", type=Path, default=Path("outputs"), help="folder for reports and runs")
    options = parser.parse_args()

    seed_everything(0)
    photos = load_photos(images=options.images)
    training, validation = split_photos(photos)
    everything = PhotoDataset(photos, TRANSFORM)
    dissection = NeuronDissection(
        layers=["net.blocks.5", "net.blocks.6", "net.bn2"],
        vocabulary="imagenet",
        encoder="assembled",
        probe=everything,
    )
    logger = WandbLogger(name="quickstart", save_dir=options.output, offline=True)
    trainer = Trainer(
        max_epochs=options.epochs,
        logger=logger,
        log_every_n_steps=1,
        callbacks=[dissection, ModelCheckpoint(monitor="dissection/quality", mode="max")],
    )
    trainer.fit(
        PhotoSorter(len(everything.classes)),
        DataLoader(PhotoDataset(training, TRANSFORM, everything.classes), batch_size=16, shuffle=True),
        DataLoader(PhotoDataset(validation, TRANSFORM, everything.classes), batch_size=32),
    )

    folder = dissection.last_report.dirpath
    print(f"\nReport     {folder / 'report.html'}")
    print(f"Dashboard  {folder / 'dashboard.html'}")
    print(f"Labels     {folder / 'neurons.csv'}")
    print(f"W&B run    {Path(logger.experiment.dir).parent}\n")
    print(f"{'epoch':>7}{'neurons':>9}{'dead':>6}{'distinct labels':>17}{'mean quality':>14}")
    for path in sorted((folder / "reports").glob("*.json")):
        report = read_report(path)
        numbers = report.metrics
        print(
            f"{report.epoch:>7}{numbers['neurons']:>9.0f}{numbers['dead']:>6.0f}"
            f"{numbers['distinct_labels']:>17.0f}{numbers['quality']:>14.3f}"
        )


if __name__ == "__main__":
    main()
