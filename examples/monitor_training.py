"""Watch concepts appear while a network learns, and be told when it loses them.

The last stages of a pretrained EfficientNet-Lite0 are made new and learn from another, which is their teacher, what
about 600 photos show. After every epoch their neurons are labelled and compared with themselves before: how many labels
changed, beside how many would be others on other photos alone, how many have settled, which concepts came and went. A
second run begins as the first did, until its learning rate is raised a thousandfold by accident: an alarm tells.
"""

import argparse
from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.loggers import CSVLogger
from photos import PhotoDataset, load_photos
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset
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
SHOWN = ("coverage", "gained", "lost", "churn", "churn_floor", "changed_share", "settled_share")


class Pupil(LightningModule):
    """A network whose first stages can see and whose last stages are new."""

    def __init__(self) -> None:
        super().__init__()
        self.net = load_efficientnet_lite("lite0").eval()
        self.known = torch.nn.Sequential(self.net.conv_stem, self.net.bn1, self.net.blocks[:6])
        self.new = torch.nn.ModuleList([self.net.blocks[6], self.net.conv_head, self.net.bn2, self.net.classifier])
        for module in self.new.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()

    def forward(self, images):
        return self.net(images)

    def on_train_epoch_start(self):
        self.new.train()

    def training_step(self, batch, batch_idx):
        features, answers = batch
        block, conv_head, bn2, _ = self.new
        return cross_entropy(self.net.forward_head(bn2(conv_head(block(features)))), answers)

    def validation_step(self, batch, batch_idx):
        images, answers = batch
        is_near = self(images).topk(5).indices == answers.argmax(dim=1, keepdim=True)
        self.log("accuracy", is_near.any(dim=1).float().mean(), prog_bar=True)

    def configure_optimizers(self):
        return torch.optim.AdamW(self.new.parameters(), lr=1e-3)


class Accident(Callback):
    """Multiplies the learning rate by a thousand at the start of an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch == self.epoch:
            for group in trainer.optimizers[0].param_groups:
                group["lr"] *= 1000


class Accuracies(Callback):
    """Remembers how often the teacher's answer is among the pupil's best five, at every validation."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking:
            self.values.append(trainer.callback_metrics["accuracy"].item())


@torch.inference_mode()
def teach(images):
    """Return what the first stages see of images and what the teacher says they show."""
    teacher, pupil = load_efficientnet_lite("lite0").eval(), Pupil()
    parts = images.split(64)
    features = torch.cat([pupil.known(part) for part in parts])
    return features.clone(), torch.cat([teacher(part).softmax(dim=1) for part in parts]).clone()


def train(name: str, images, lessons, epochs: int, output: Path, *others: Callback) -> None:
    """Train with the callback and print what changed from epoch to epoch."""
    seed_everything(0)
    features, answers = lessons
    is_held_out = torch.arange(len(images)) % 5 == 0
    dissection = NeuronDissection(
        layers=["net.blocks.6", "net.bn2"],
        vocabulary="imagenet",
        encoder="assembled",
        probe=DataLoader(TensorDataset(images), batch_size=64),
        mean=[0.5] * 3,
        std=[0.5] * 3,
        on_alarm=lambda alarm: print(f"\nALARM  {alarm.title}: {alarm.text}"),
    )
    accuracies = Accuracies()
    trainer = Trainer(
        max_epochs=epochs,
        logger=CSVLogger(output, name=name),
        log_every_n_steps=1,
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_model_summary=False,
        callbacks=[dissection, accuracies, *others],
    )
    trainer.fit(
        Pupil(),
        DataLoader(
            TensorDataset(features[~is_held_out], answers[~is_held_out]), batch_size=32, shuffle=True, drop_last=True
        ),
        DataLoader(TensorDataset(images[is_held_out], answers[is_held_out]), batch_size=64),
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
    photos = PhotoDataset(load_photos(images=options.images), TRANSFORM)
    images = torch.stack([photos[place][0] for place in range(len(photos))])
    lessons = teach(images)
    train("well", images, lessons, options.epochs, options.output)
    train("accident", images, lessons, options.epochs // 2, options.output, Accident(options.epochs // 2 - 2))


if __name__ == "__main__":
    main()
