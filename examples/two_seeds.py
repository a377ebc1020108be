"""Do two trainings find the same concepts? Train one small network from two seeds and match their units.

The images are scikit-learn's 1,797 handwritten digits, so nothing is downloaded; two thirds are trained on, the rest is
what the networks are dissected with. The concepts are the ten digits and seven traits of several digits each. Printed
is what `python -m lightning_dissect compare` says of both runs, first with units matched by what they respond to, then
by their numbers, and how well units match those of a network that was not trained at all.

    pip install lightning-dissect scikit-learn
    python examples/two_seeds.py
"""

import argparse
from pathlib import Path

import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_dissect import NeuronDissection
from lightning_dissect.commands.compare import compare
from lightning_dissect.history import DissectionHistory, compare_runs

TRAITS = {
    "closed loop": (0, 6, 8, 9),
    "straight stroke": (1, 4, 7),
    "open bow": (2, 3, 5),
    "loop above": (8, 9),
    "loop below": (6, 8),
    "bar on top": (5, 7),
    "even": (0, 2, 4, 6, 8),
}
CONCEPTS = [*map("digit {}".format, range(10)), *TRAITS]
LAYERS = ["conv", "hidden"]


class DigitReader(LightningModule):
    """A small convolutional network that reads digits."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), nn.ReLU())
        self.hidden = nn.Sequential(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(512, 64), nn.ReLU())
        self.head = nn.Linear(64, 10)

    def forward(self, images):
        return self.head(self.hidden(self.conv(images)))

    def training_step(self, batch, batch_idx):
        return nn.functional.cross_entropy(self(batch[0]), batch[1])

    def validation_step(self, batch, batch_idx):
        self.log("accuracy", (self(batch[0]).argmax(dim=1) == batch[1]).float().mean())

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


def traits_of(batch):
    """Return which concepts are in each image of a batch, shape ``(images, concepts)``."""
    digits = nn.functional.one_hot(batch[1], 10)
    traits = [digits[:, members].sum(dim=1) for members in TRAITS.values()]
    return torch.cat([digits, torch.stack(traits, dim=1)], dim=1).float()


def train(seed: int, epochs: int, folder: Path) -> Path:
    """Train from a seed, or dissect the network as it begins if there are no epochs; return the folder of the run."""
    digits = load_digits()
    images = torch.tensor(digits.images / 16, dtype=torch.float32)[:, None].expand(-1, 3, -1, -1)
    everything = TensorDataset(images, torch.tensor(digits.target))
    training, validation = torch.utils.data.Subset(everything, range(1200)), TensorDataset(*everything[1200:])
    seed_everything(seed)
    dissection = NeuronDissection(LAYERS, CONCEPTS, "annotations", target_fn=traits_of, dirpath=folder)
    trainer = Trainer(
        max_epochs=epochs,
        check_val_every_n_epoch=max(epochs, 1),
        accelerator="cpu",
        logger=False,
        callbacks=[dissection],
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
    network, probe = DigitReader(), DataLoader(validation, batch_size=200)
    if epochs:
        trainer.fit(network, DataLoader(training, batch_size=50, shuffle=True), probe)
    else:
        trainer.validate(network, probe, verbose=False)
    print(f"Seed {seed}, {epochs} epochs: accuracy {float(trainer.callback_metrics['accuracy']):.1%}")
    return dissection.last_report.dirpath


def main() -> None:
    """Train, dissect, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=15, help="epochs to train, 15 by default")
    parser.add_argument("--output", type=Path, default=Path("outputs/two_seeds"), help="folder for the reports")
    options = parser.parse_args()

    first, second = (train(seed, options.epochs, options.output / f"seed-{seed}") for seed in (1, 2))
    untrained = train(2, 0, options.output / "untrained")
    print("\nUnits matched by what they respond to:\n")
    compare(str(first), str(second))
    print("\nUnits of the same number:\n")
    compare(str(first), str(second), match=False)
    print()
    for name, other in (("the other seed", second), ("no training", untrained)):
        for layer in compare_runs(DissectionHistory.load(first), DissectionHistory.load(other)).layers:
            found, median = layer.matching, float(torch.tensor(layer.matching.correlation).median())
            print(
                f"{layer.layer:>8} against {name}: median correlation {median:.2f}, "
                f"{found.significant_share:.0%} of the pairs beyond chance (above {found.chance:.2f})"
            )


if __name__ == "__main__":
    main()
