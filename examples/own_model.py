"""Dissect a network as it is, without training it.

    python examples/own_model.py                                       # EfficientNet-Lite0, pretrained
    python examples/own_model.py --model my_package:my_model --layers stage3 stage4

MODEL is a function (or class) that returns the network when called without arguments; ``torchvision.models:resnet18``
thus has random weights. The network is wrapped in the smallest possible LightningModule and shown some photos of 224
pixels in [-1, 1] by ``trainer.validate``.
"""

import argparse
import importlib
from pathlib import Path

from lightning.pytorch import LightningModule, Trainer
from photos import PhotoDataset, load_photos
from quickstart import TRANSFORM
from torch.utils.data import DataLoader

from lightning_dissect import NeuronDissection


class Frozen(LightningModule):
    """Shows a model the validation images and does nothing else."""

    def __init__(self, model) -> None:
        super().__init__()
        self.model = model

    def validation_step(self, batch, batch_idx):
        self.model(batch[0])


def main() -> None:
    """Load, dissect, print the best labels."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model", default="lightning_dissect.encoders:load_efficientnet_lite", help="the network, as MODULE:FUNCTION"
    )
    parser.add_argument("--layers", nargs="+", default=["blocks.6", "classifier"], help="layers to dissect")
    parser.add_argument("--images", type=Path, help="folder of your own photos")
    parser.add_argument("--output", type=Path, default=Path("outputs"), help="folder for the report")
    options = parser.parse_args()

    module, factory = options.model.split(":")
    model = getattr(importlib.import_module(module), factory)()
    dissection = NeuronDissection(options.layers, encoder="assembled", writers=["html", "csv"], dirpath=options.output)
    photos = DataLoader(PhotoDataset(load_photos(images=options.images), TRANSFORM), batch_size=32)
    Trainer(logger=False, enable_checkpointing=False, callbacks=[dissection]).validate(Frozen(model), photos)

    report = dissection.last_report
    labelled = [neuron for neuron in report.neurons if neuron.label]
    for neuron in sorted(labelled, key=lambda neuron: -neuron.quality)[:10]:
        print(f"{neuron.layer:>20} {neuron.unit:>5}  {neuron.label:<30} {neuron.quality:.2f}")
    print(f"\nAll {len(report.neurons)} neurons: {report.dirpath / 'report.html'}")


if __name__ == "__main__":
    main()
