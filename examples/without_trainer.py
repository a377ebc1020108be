"""Record and label in a loop of your own, first in plain PyTorch, then under Lightning Fabric."""

import argparse
from pathlib import Path

import torch
from lightning.fabric import Fabric
from photos import PhotoDataset, load_photos
from quickstart import TRANSFORM
from torch.utils.data import DataLoader

from lightning_dissect import Dissector
from lightning_dissect.encoders import load_efficientnet_lite
from lightning_dissect.probe import find_normalisation, to_uint8
from lightning_dissect.writers import HTMLWriter


def dissect(dissector, model, loader, dirpath):
    """Show the model every image once and return the report."""
    normalisation = find_normalisation(loader.dataset)
    with torch.no_grad(), dissector.record(model):
        for images, _ in loader:
            with dissector.batch(to_uint8(images, normalisation.undo)):
                model(images)
    return dissector.report(dirpath=dirpath)


def main() -> None:
    """Dissect twice and show that it makes no difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, help="folder of your own photos")
    parser.add_argument("--output", type=Path, default=Path("outputs"), help="folder for the report")
    options = parser.parse_args()

    model = load_efficientnet_lite("lite0").eval()
    loader = DataLoader(PhotoDataset(load_photos(images=options.images), TRANSFORM), batch_size=32)
    # Without untrained copies, which would run along for either model: labels are held against chance alone.
    dissector = Dissector(["blocks.6"], vocabulary="imagenet", encoder="assembled", untrained_networks=0)
    plain = dissect(dissector, model, loader, options.output / "plain")
    HTMLWriter().write(plain, loggers=[])

    fabric = Fabric(accelerator="auto", devices=1)
    under_fabric = dissect(dissector, fabric.setup(model), fabric.setup_dataloaders(loader), options.output / "fabric")

    same = sum(mine.label == other.label for mine, other in zip(plain.neurons, under_fabric.neurons, strict=True))
    print(f"{same} of {len(plain.neurons)} labels are the same under Fabric; report: {plain.dirpath / 'report.html'}")


if __name__ == "__main__":
    main()
