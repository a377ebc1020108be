"""A training of two processes under Weights & Biases, as a user writes it: ``python training_script.py FOLDER``."""

import sys
from pathlib import Path

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import WandbLogger
from torch import Tensor

from lightning_dissect import NeuronDissection
from tests.helpers.planted import CONCEPTS, PlantedModule


def annotations(batch: list[Tensor]) -> Tensor:
    """Return which concepts are in the images of a batch."""
    return batch[1]


def main(folder: Path) -> None:
    """Train for two epochs."""
    dissection = NeuronDissection(
        layers=["net.act"], vocabulary=CONCEPTS, encoder="annotations", target_fn=annotations, strict=True
    )
    trainer = Trainer(
        accelerator="cpu",
        devices=2,
        strategy="ddp",
        max_epochs=2,
        log_every_n_steps=1,
        logger=WandbLogger(save_dir=folder, offline=True),
        callbacks=[dissection],
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        default_root_dir=folder,
    )
    trainer.fit(PlantedModule(num_images=159))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
