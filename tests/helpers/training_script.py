"""A training of two processes under Weights & Biases, as a user writes it: ``python training_script.py FOLDER``."""

import sys
from pathlib import Path

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import WandbLogger

from lightning_dissect import NeuronDissection
from tests.helpers.colours import COLOURS, ColourEncoder, ColourModule


def main(folder: Path) -> None:
    """Train for two epochs."""
    dissection = NeuronDissection(
        layers=["net.paint"], vocabulary=list(COLOURS), encoder=ColourEncoder(), strict=True, cache=folder / "cache"
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
    trainer.fit(ColourModule(num_images=23))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
