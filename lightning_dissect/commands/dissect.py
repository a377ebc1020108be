"""The command that dissects a checkpoint after the fact."""

import inspect
import pickle
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning
import torch
from lightning import pytorch as lightning_pytorch

from lightning_dissect.callback import NeuronDissection
from lightning_dissect.checks import check_positive
from lightning_dissect.commands.importing import find
from lightning_dissect.commands.table import aligned, decimal
from lightning_dissect.dissector import DissectionError
from lightning_dissect.types import DissectionReport, summarise

HEADER = ("layer", "neurons", "labelled", "ambiguous", "no clear function", "dead", "labels", "quality")
LIGHTNINGS = (lightning_pytorch, pytorch_lightning)
ARGUMENTS = {"LightningModule": ("MODEL", "--model-args"), "LightningDataModule": ("--data", "--data-args")}


def dissect(
    model: str,
    checkpoint: str,
    *,
    layers: str,
    data: str | None = None,
    vocabulary: str = "imagenet",
    encoder: str = "open_clip",
    output: str = ".",
    model_args: dict[str, Any] | None = None,
    data_args: dict[str, Any] | None = None,
    options: dict[str, Any] | None = None,
    batches: int | None = None,
    accelerator: str = "auto",
    trust_checkpoint: bool = False,
) -> None:
    """Label the neurons of a network that is trained already.

    The weights are loaded into your LightningModule, its validation runs once, and what the callback reports in a
    training is reported of the checkpoint: labels, trust, a page with the images of every neuron. No training code is
    touched. Printed are a summary per layer and where the report lies.

    For example: lightning-dissect dissect my_package:Classifier last.ckpt --layers layer4 --data my_package:Photos

    Args:
        model: Your LightningModule as MODULE:CLASS, for example my_package.models:Classifier. MODULE is imported, from
            the current folder too. Arguments that the checkpoint remembers (save_hyperparameters) are passed on. A
            function that gives a LightningModule will do as well.
        checkpoint: The checkpoint, a .ckpt file of Lightning.
        layers: Layers, separated by commas: names, unique ends of names, patterns or types. The command "layers" lists
            those of a model.
        data: The images, a LightningDataModule as MODULE:CLASS or a function that gives one or a DataLoader; by default
            the validation data of the model itself.
        vocabulary: Concepts that may become labels: imagenet, wordnet, common:20000 or a text file with one per line.
        encoder: What compares images with concepts: open_clip, hf_clip:NAME, assembled (offline) or annotations.
        output: Folder in which the folder of the report, dissection, is made.
        model_args: Arguments of the model that the checkpoint does not remember, as in --model-args.width 64.
        data_args: Arguments of the data, likewise.
        options: Further arguments of NeuronDissection, as in --options.similarity soft_wpmi --options.metrics [auprc].
        batches: Batches that are run, all by default.
        accelerator: Where the network runs: cpu, gpu, mps, or auto for the best there is.
        trust_checkpoint: Whether the checkpoint may hold more than weights and plain values. Such a file can run any
            code when it is read: allow it only if you know where it comes from.

    """
    if batches is not None:
        check_positive("--batches", batches)
    found, found_data = _found(model, "LightningModule"), None if data is None else _found(data, "LightningDataModule")
    progress = _read_progress(checkpoint, trust_checkpoint)
    module = _made(found, "LightningModule", model, checkpoint, trust_checkpoint, **(model_args or {}))
    package = _package_of(module, model)
    images = _made(found_data, "LightningDataModule", data, checkpoint, trust_checkpoint, **(data_args or {}))
    chosen = {"layers": [layer.strip() for layer in layers.split(",")], "vocabulary": vocabulary, "encoder": encoder}
    dissection = NeuronDissection(**{**chosen, "dirpath": output, "strict": True, **(options or {})})
    trainer = package.Trainer(
        accelerator=accelerator,
        devices=1,
        limit_val_batches=batches,
        callbacks=[dissection],
        logger=package.loggers.logger.DummyLogger(),
        default_root_dir=output,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=sys.stdout.isatty(),
    )
    # Lightning tells callbacks nothing of a checkpoint that was saved with `save_weights_only`.
    dissection.on_load_checkpoint(trainer, module, progress)
    _validate(trainer, module, images, checkpoint, trust_checkpoint)
    report = dissection.last_report
    if report is None:
        raise ValueError(f"Expected the data of {data or model} to hold validation images but nothing was validated.")
    print("\n".join(_lines(report)))


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


def _lines(report: DissectionReport) -> Iterator[str]:
    yield from aligned(HEADER, _rows(report))
    yield f"\nEpoch {report.epoch}, step {report.step}, {report.num_images:,} images."
    if report.dirpath is not None:
        yield f"The report lies in {Path(report.dirpath).resolve()}; open report.html in a browser."


def _rows(report: DissectionReport) -> Iterator[Sequence[str]]:
    parts = [(layer.layer, layer.neurons) for layer in report.layers]
    parts += [("all", report.neurons)] if len(parts) > 1 else []
    for title, neurons in parts:
        found = summarise(neurons)
        counts = ("neurons", "labelled", "ambiguous", "no_clear_function", "dead", "distinct_labels")
        yield title, *(decimal(found[name]) for name in counts), decimal(found["quality"], 3)
