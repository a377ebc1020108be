"""Sees in every process of a training what is otherwise lost when the process ends."""

import json
import warnings
from pathlib import Path
from typing import Any

import torch.distributed as dist
from lightning.pytorch import Callback, LightningModule, Trainer

from tests.helpers.colours import ColourEncoder


class Witness(Callback):
    """Notes after every validation what this process has logged, encoded, sent and warned of since the last.

    It has to stand after the dissections in the list of callbacks.

    Args:
        folder: Where each process writes a file.
        encoder: The encoder whose work is counted.

    """

    def __init__(self, folder: Path, encoder: ColourEncoder | None = None) -> None:
        self.folder = folder
        self.encoder = encoder
        self._bytes_sent = 0
        self._encoded = 0
        self._warnings: list[str] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Listen, in this process only."""
        if dist.is_initialized():
            warnings.showwarning = lambda message, *_: self._warnings.append(str(message))
            swap = dist.all_to_all_single

            def counted(output: Any, sent: Any, *args: Any, **options: Any) -> Any:
                self._bytes_sent += sent.nbytes
                return swap(output, sent, *args, **options)

            dist.all_to_all_single = counted

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write a line and begin anew."""
        if trainer.sanity_checking:
            return
        encoded = 0 if self.encoder is None else self.encoder.num_encoded
        metrics = {key: repr(float(value)) for key, value in trainer.callback_metrics.items() if "/" in key}
        line = {
            "metrics": metrics,
            "encoded": encoded - self._encoded,
            "bytes_sent": self._bytes_sent,
            "warnings": self._warnings,
        }
        self._encoded, self._bytes_sent, self._warnings = encoded, 0, []
        self.folder.mkdir(exist_ok=True)
        with (self.folder / f"{trainer.global_rank}.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")

    def read(self) -> list[list[dict[str, Any]]]:
        """Return of every process, in the order of the ranks, what it noted after each validation."""
        files = sorted(self.folder.glob("*"))
        return [[json.loads(line) for line in path.read_text().splitlines()] for path in files]
