"""Running a checkpoint once through its validation, for the commands that look into one."""

import inspect
import pickle
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytorch_lightning
import torch
from lightning import pytorch as lightning_pytorch

from lightning_dissect.callback import NeuronDissection
from lightning_dissect.checks import check_positive
from lightning_dissect.commands.importing import find
from lightning_dissect.dissector import DissectionError

LIGHTNINGS = (lightning_pytorch, pytorch_lightning)
ARGUMENTS = {"LightningModule": ("MODEL", "--model-args"), "LightningDataModule": ("--data", "--data-args")}


@dataclass(frozen=True)
class CheckpointRun:
    """A checkpoint, its network and its data, as the words of a command name them.

    Args:
        model: The LightningModule as ``MODULE:CLASS``, or a function that gives one.
        checkpoint: The checkpoint file.
        data: The images as ``MODULE:CLASS``; the validation data of the model itself by default.
        output: Folder in which the folder of the report is made.
        model_args: Arguments of the model that the checkpoint does not remember.
        data_args: Arguments of the data.
        batches: Batches that are run, all by default.
        accelerator: Where the network runs.
        trust_checkpoint: Whether the checkpoint may hold more than weights and plain values.

    """

    model: str
    checkpoint: str
    data: str | None = None
    output: str = "."
    model_args: Mapping[str, Any] = field(default_factory=dict)
    data_args: Mapping[str, Any] = field(default_factory=dict)
    batches: int | None = None
    accelerator: str = "auto"
    trust_checkpoint: bool = False

    def dissect(self, **chosen: Any) -> NeuronDissection:  # noqa: ANN401 - arguments of the callback
        """Load the weights, run the validation once and return the callback, whose report is there.

        Args:
            chosen: Arguments of the callback.

        Raises:
            ValueError:
                If something cannot be found, made or dissected; the message names the word of the command.

        """
        if self.batches is not None:
            check_positive("--batches", self.batches)
        found = _found(self.model, "LightningModule")
        found_data = None if self.data is None else _found(self.data, "LightningDataModule")
        progress = _read_progress(self.checkpoint, self.trust_checkpoint)
        source = (self.checkpoint, self.trust_checkpoint)
        module = _made(found, "LightningModule", self.model, *source, **self.model_args)
        package = _package_of(module, self.model)
        images = _made(found_data, "LightningDataModule", self.data, *source, **self.data_args)
        dissection = NeuronDissection(**{"dirpath": self.output, "strict": True, **chosen})
        trainer = package.Trainer(
            accelerator=self.accelerator,
            devices=1,
            limit_val_batches=self.batches,
            callbacks=[dissection],
            logger=package.loggers.logger.DummyLogger(),
            default_root_dir=self.output,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=sys.stdout.isatty(),
        )
        # Lightning tells callbacks nothing of a checkpoint that was saved with `save_weights_only`.
        dissection.on_load_checkpoint(trainer, module, progress)
        _validate(trainer, module, images, *source)
        if dissection.last_report is None:
            raise ValueError(
                f"Expected the data of {self.data or self.model} to hold validation images but nothing was validated."
            )
        return dissection


def _read_progress(checkpoint: str, trusted: bool) -> dict[str, int]:
    """Return epoch and step of a checkpoint, and refuse what may run code unless it is trusted."""
    try:
        content = torch.load(checkpoint, map_location="cpu", mmap=True, weights_only=not trusted)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"Expected CHECKPOINT to hold weights and plain values alone but {checkpoint!r} holds more. If you know "
            "where it comes from, allow it with --trust-checkpoint true."
        ) from error
    except RuntimeError as error:
        raise ValueError(f"Expected CHECKPOINT to be a file that torch can read but got {checkpoint!r}.") from error
    names = ("epoch", "global_step")
    if not isinstance(content, Mapping) or not {*names, "state_dict"} <= content.keys():
        raise ValueError(f"Expected CHECKPOINT to be a checkpoint of Lightning but {checkpoint!r} is another file.")
    return {name: content[name] for name in names}


def _found(target: str, kind: str) -> Any:  # noqa: ANN401 - the user's
    """Return what the user calls a model or data."""
    module_name, colon, path = target.partition(":")
    if not (module_name and colon and path):
        raise ValueError(
            f"Expected {ARGUMENTS[kind][0]} to be MODULE:CLASS, like my_package:{kind}, but got {target!r}."
        )
    return find(module_name, path)


def _made(found: Any, kind: str, target: str | None, checkpoint: str, trusted: bool, /, **arguments: Any) -> Any:  # noqa: ANN401
    """Return the user's model or data; classes of Lightning get the arguments that the checkpoint remembers."""
    if not callable(found) or _is_instance(found, kind):
        return found
    make: Callable[..., Any] = found
    if _is_class(found, kind):
        load = found.load_from_checkpoint
        make = partial(load, checkpoint, map_location="cpu", **_trusting(load, trusted))
    try:
        return make(**arguments)
    except Exception as error:
        raise ValueError(
            f"Expected to make a {kind} of {target} but got {type(error).__name__}: {error}. "
            f"Arguments can be given with {ARGUMENTS[kind][1]}."
        ) from error


def _trusting(function: Callable[..., Any], trusted: bool) -> dict[str, bool]:
    """Return what lets a function of Lightning read more than weights; before 2.6 each did so unasked."""
    return {"weights_only": False} if trusted and "weights_only" in inspect.signature(function).parameters else {}


def _is_instance(found: object, kind: str) -> bool:
    return any(isinstance(found, getattr(package, kind)) for package in LIGHTNINGS)


def _is_class(found: object, kind: str) -> bool:
    return inspect.isclass(found) and any(issubclass(found, getattr(package, kind)) for package in LIGHTNINGS)


def _package_of(module: object, target: str) -> Any:  # noqa: ANN401 - either of two packages
    """Return the package whose Trainer takes a module: `lightning` and `pytorch_lightning` each insist on their own."""
    for package in LIGHTNINGS:
        if isinstance(module, package.LightningModule):
            return package
    raise TypeError(f"Expected {target} to be or give a LightningModule but got {type(module).__name__}.")


def _validate(trainer: Any, module: Any, images: Any, checkpoint: str, trusted: bool) -> None:  # noqa: ANN401
    source = {"datamodule" if _is_instance(images, "LightningDataModule") else "dataloaders": images}
    allowed = _trusting(trainer.validate, trusted)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Be aware that when using `ckpt_path`, callbacks used to create")
            trainer.validate(module, **source, ckpt_path=checkpoint, verbose=False, **allowed)
    except DissectionError as error:
        kind, _, reason = str(error).strip().splitlines()[-1].partition(": ")
        raise ValueError(f"The checkpoint could not be dissected: {kind.rpartition('.')[2]}. {reason}") from error
