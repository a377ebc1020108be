"""The command that dissects a checkpoint after the fact."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lightning_dissect.commands.checkpoint import CheckpointRun
from lightning_dissect.commands.table import aligned, decimal
from lightning_dissect.types import DissectionReport, summarise

HEADER = ("layer", "neurons", "labelled", "ambiguous", "no clear function", "dead", "labels", "quality")


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
    run = CheckpointRun(
        model,
        checkpoint,
        data,
        output,
        model_args or {},
        data_args or {},
        batches,
        accelerator,
        trust_checkpoint,
    )
    chosen = {"layers": [layer.strip() for layer in layers.split(",")], "vocabulary": vocabulary, "encoder": encoder}
    report = run.dissect(**{**chosen, **(options or {})}).last_report
    if report is not None:
        print("\n".join(_lines(report)))


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
