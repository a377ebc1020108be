"""Watch concepts appear while a network learns, and be told when it loses them.

The last stages of a pretrained EfficientNet-Lite0 are made new and learn to sort about 600 photos into groups. After
every epoch all their neurons are labelled and compared with themselves before: how many labels changed, beside how many
would change on other photos alone, how many have settled, which concepts came and went. A second run begins as the
first did, until its learning rate is raised a thousandfold: the alarms tell. Nothing is fetched but the photos.
"""

import argparse
from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.loggers import CSVLogger
from photos import PhotoDataset, load_photos, split_photos
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from lightning_dissect import NeuronDissection
from lightning_dissect.encoders import load_efficientnet_lite
from lightning_dissect.history import DissectionHistory, curves

TRANSFORM = v2.Compose(
    [
        v2.PILToTensor(),
        v2.Resize(144, antialias=True),
        v2.CenterCrop(128),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize([0.5] * 3, [0.5] * 3),
    ]
)
SHOWN = ("quality", "coverage", "gained", "lost", "churn", "churn_floor", "changed_share", "settled_share")


class Pupil(LightningModule):
    """A network whose first stages can see and whose last stages are new and learn what a teacher says of photos."""

    def __init__(self) -> None:
        super().__init__()
        self.net = load_efficientnet_lite("lite0")
        self.known = torch.nn.Sequential(self.net.conv_stem, self.net.bn1, self.net.blocks[:5])
        for new in (self.net.blocks[5:], self.net.conv_head, self.net.bn2, self.net.classifier):
            for module in new.modules():
                if hasattr(module, "reset_parameters"):
                    module.reset_parameters()

    def forward(self, images):
        return self.net(images)

    def training_step(self, batch, batch_idx):
        features, answers = batch
        head = self.net.bn2(self.net.conv_head(self.net.blocks[5:](features)))
        return cross_entropy(self.net.forward_head(head), answers)

    def validation_step(self, batch, batch_idx):
        images, answers = batch
        right = self(images).argmax(dim=1) == answers.argmax(dim=1)
        self.log("accuracy", right.float().mean(), prog_bar=True)

    def configure_optimizers(self):
        new = (self.net.blocks[5:], self.net.conv_head, self.net.bn2, self.net.classifier)
        return torch.optim.AdamW([weight for part in new for weight in part.parameters()], lr=1e-3)


class Accident(Callback):
    """Multiplies the learning rate by a thousand at the start of an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch == self.epoch:
            for group in trainer.optimizers[0].param_groups:
                group["lr"] *= 1000


class Accuracies(Callback):
    """Remembers the accuracy of every validation."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking:
            self.values.append(trainer.callback_metrics["accuracy"].item())


def train(name: str, photos, epochs: int, output: Path, *others: Callback):
    """Train with the callback and print what changed from epoch to epoch."""
    seed_everything(0)
    training, validation = split_photos(photos)
    everything = PhotoDataset(photos, TRANSFORM)
    dissection = NeuronDissection(
        layers=["net.blocks.6", "net.bn2"],
        vocabulary="imagenet",
        encoder="assembled",
        probe=DataLoader(everything, batch_size=64),
        on_alarm=lambda alarm: print(f"  ALARM  {alarm.title}. {alarm.text}"),
    )
    accuracies = Accuracies()
    trainer = Trainer(
        max_epochs=epochs,
        logger=CSVLogger(output, name=name),
        log_every_n_steps=1,
        enable_checkpointing=False,
        enable_model_summary=False,
        callbacks=[dissection, accuracies, *others],
    )
    trainer.fit(
        PhotoSorter(len(everything.classes)),
        DataLoader(PhotoDataset(training, TRANSFORM, everything.classes), batch_size=32, shuffle=True),
        DataLoader(PhotoDataset(validation, TRANSFORM, everything.classes), batch_size=64),
    )

    folder = dissection.last_report.dirpath
    found = curves(DissectionHistory.load(folder))[""]
    print(f"\n{name}: {folder / 'dashboard.html'}\n")
    print("epoch" + "accuracy".rjust(10) + "".join(column.rjust(15) for column in SHOWN))
    for epoch, accuracy in enumerate(accuracies.values):
        numbers = "".join(f"{found[column][epoch]:15.3g}" for column in SHOWN)
        print(f"{epoch:5}{accuracy:10.3f}{numbers}")
    print()


def main() -> None:
    """Train twice: as it should be, and with an accident on the way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, help="folder of your own photos, one sub-folder per group")
    parser.add_argument("--epochs", type=int, default=10, help="epochs to train, 10 by default")
    parser.add_argument("--output", type=Path, default=Path("outputs"), help="folder for reports and runs")
    options = parser.parse_args()
    photos = load_photos(images=options.images)
    train("well", photos, options.epochs, options.output)
    train("accident", photos, options.epochs // 2 + 1, options.output, Accident(options.epochs // 2 - 1))


if __name__ == "__main__":
    main()
