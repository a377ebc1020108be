"""Which labels of a pretrained network are too specific, too generic or another of their kind, by WordNet.

The neurons of EfficientNet-Lite0's last layers get labels from ImageNet's class names on about 600 photos; what is
above the classes comes from `superclasses.py`.
"""

import argparse
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import torch
from open_clip import IMAGENET_CLASSNAMES
from photos import PhotoDataset, load_photos
from quickstart import TRANSFORM
from superclasses import load_superclasses
from torch.utils.data import DataLoader

from lightning_dissect import Dissector
from lightning_dissect.encoders import load_efficientnet_lite
from lightning_dissect.probe import resolve_vocabulary
from lightning_dissect.report import neuron_rows
from lightning_dissect.writers import HTMLWriter


def imagenet_with_superclasses():
    """Return ImageNet's class names with the superclasses above each, nearest first."""
    above = defaultdict(list)
    for superclass, classes in reversed(load_superclasses().items()):
        for index in classes:
            above[IMAGENET_CLASSNAMES[index]].append(superclass)
    return replace(resolve_vocabulary("imagenet"), hierarchy={name: tuple(line) for name, line in above.items()})


def main() -> None:
    """Dissect, then say how many labels err on which side and show those that err most clearly."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, help="folder of your own photos")
    parser.add_argument("--output", type=Path, default=Path("outputs"), help="folder for the report")
    options = parser.parse_args()

    model = load_efficientnet_lite("lite0").eval()
    photos = PhotoDataset(load_photos(images=options.images), TRANSFORM)
    dissector = Dissector(["blocks.6", "bn2", "classifier"], imagenet_with_superclasses(), "assembled")
    first = 0
    with torch.no_grad(), dissector.record(model):
        for images, _ in DataLoader(photos, batch_size=32):
            with dissector.batch((255 * (images / 2 + 0.5)).round().to(torch.uint8), first + torch.arange(len(images))):
                model(images)
            first += len(images)
    report = dissector.report(dirpath=options.output / "specificity")
    HTMLWriter().write(report, [])
    for layer in report.layers:
        verdicts = Counter(neuron.specificity.verdict for neuron in layer.neurons if neuron.specificity)
        print(layer.layer, *(f"{verdict}: {count}" for verdict, count in verdicts.most_common()), sep="  ")
    erring = [neuron for neuron in report.neurons if "(" in neuron_rows(report, [neuron])[0]["specificity"]]
    for row in neuron_rows(report, sorted(erring, key=lambda neuron: -neuron.quality)[:12]):
        print(f"{row['layer']:>12}{row['unit']:>6}  {row['label']:<24}{row['quality']:.2f}  {row['specificity']}")


if __name__ == "__main__":
    main()
