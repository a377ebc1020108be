"""The command line: one function per command, and the only place that prints."""

import importlib
import inspect
import os
import sys
from argparse import ArgumentError
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from lightning_dissect.checks import check_positive, closest, require_package
from lightning_dissect.metrics import NeuronMetric, experimental_sanity_check, theoretical_sanity_check
from lightning_dissect.metrics.sanity_theory import FREQUENCIES
from lightning_dissect.recording import LayerDescription, describe_layers

PROGRAM = "lightning-dissect"
DESCRIPTION = "Look into vision models: find the layers whose neurons are to be labelled, and test what judges labels."
PLOTS = (".png", ".svg", ".pdf")
HEADER = ("name", "type", "output shape", "fires", "parameters")
HOW_TO_CHOOSE = (
    "Choose layers by full name, by the end of a name that only one has ('layer4'), by pattern ('*.conv2') "
    "or by type ('Conv2d'): NeuronDissection(layers=[...])."
)
ABOUT_NEVER = (
    "never: these modules are not called in a forward, so nothing of them can be recorded; "
    "choose the module around them."
)


def layers(target: str, image_size: int = 224, channels: int = 3) -> None:
    """List the layers of a model with what they return for one image.

    Args:
        target: The model as MODULE:FACTORY, for example torchvision.models:resnet18. MODULE is imported (from the
            current folder too), FACTORY is a model in it, or a class or function that gives one without arguments.
        image_size: Height and width of the image in pixels.
        channels: Channels of the image, 3 for colour, 1 for grey.

    """
    check_positive("--image-size", image_size)
    check_positive("--channels", channels)
    model = _load_model(target)
    shape = (1, channels, image_size, image_size)
    try:
        descriptions = describe_layers(model, torch.zeros(shape))
    except Exception as error:
        raise ValueError(
            f"{target} cannot be run on an image of shape {shape} ({type(error).__name__}: {error}); "
            "set --image-size and --channels to what it expects."
        ) from error
    lines = [*_table(descriptions), "", HOW_TO_CHOOSE]
    if any(layer.fires == 0 for layer in descriptions):
        lines.append(ABOUT_NEVER)
    print("\n".join(lines))


def sanity_check(
    *,
    metrics: str | None = None,
    metric: str | None = None,
    n: int = 500_000,
    frequencies: str = ",".join(map(str, FREQUENCIES)),
    draws: int = 50,
    seed: int = 0,
    epsilon: float = 0.001,
    kept: float = 0.5,
    growth: float = 2.0,
    activations: str | None = None,
    presence: str | None = None,
    csv: str | None = None,
    markdown: str | None = None,
    plot: str | None = None,
) -> None:
    """Test whether metrics notice labels that are missing or wrong (the sanity checks of NeuronEval).

    A concept that describes a neuron perfectly loses half of its labels, or gets as many wrong ones. A metric passes if
    its score then falls in more than 90 % of the cases; one that fails ranks wrong labels as high as right ones. Two
    metrics take less than a minute, all of them some minutes: try "sanity-check --metrics iou,auc" first.
    It needs no data; with --activations and --presence it also tests the metrics on neurons of your own.

    Args:
        metrics: Names of metrics, separated by commas; all registered ones if neither --metrics nor --metric is given.
        metric: A metric of your own as package.Class, with a method score; it is imported from the current folder too.
        n: Number of images of the theoretical check.
        frequencies: Shares of the images that have the concept in the theoretical check, separated by commas.
        draws: How often labels are spoilt.
        seed: Seed of these draws.
        epsilon: Fall of a score, relative to the metric's range, that is too small to count.
        kept: Share of the labels that stays when labels go missing.
        growth: Factor by which extra labels multiply their number.
        activations: NumPy file (.npy) of images x neurons; with --presence it asks for the experimental check as well.
        presence: NumPy file (.npy) of the same shape, with the presence of each neuron's right concept.
        csv: File for all results.
        markdown: File for the table, which is printed too.
        plot: File for the table as a figure; its ending (.png, .svg, .pdf) says of which kind.

    """
    _check_files(csv, markdown, plot)
    chosen = _chosen_metrics(metrics, metric)
    options: dict[str, Any] = {"draws": draws, "seed": seed, "epsilon": epsilon, "kept": kept, "growth": growth}
    shares = [_number(text, "--frequencies") for text in frequencies.split(",")]
    recorded = _recorded(activations, presence)
    table = theoretical_sanity_check(chosen, images=n, frequencies=shares, **options)
    if recorded is not None:
        table += experimental_sanity_check(*recorded, chosen, **options)
    print(table.to_markdown())
    if csv is not None:
        Path(csv).write_text(table.to_csv(), encoding="utf-8")
    if markdown is not None:
        Path(markdown).write_text(table.to_markdown() + "\n", encoding="utf-8")
    if plot is not None:
        table.figure().savefig(plot)


COMMANDS: dict[str, Callable[..., None]] = {"layers": layers, "sanity-check": sanity_check}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: Words of the command line after the program's name; those of this process by default. None at all
            ask for help.

    Returns:
        Exit code: 0, or 2 after an error, which is one line on the standard error stream. A reader that stops early,
        such as ``head``, is no error.

    """
    try:
        require_package("jsonargparse", "lightning-dissect[cli]", "The command line")
        words = list(sys.argv[1:] if arguments is None else arguments)
        parsed = _parser().parse_args(words or ["--help"]).as_dict()
        COMMANDS[parsed["command"]](**parsed[parsed["command"]])
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (ArgumentError, ImportError, OSError, TypeError, ValueError) as error:
        print(f"{PROGRAM}: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def _parser() -> Any:  # noqa: ANN401 - the type lives in an optional package
    from jsonargparse import ArgumentParser

    class DashedParser(ArgumentParser):
        """Spells options with dashes and positional arguments in capitals."""

        def add_argument(self, *names: str, **settings: Any) -> Any:  # noqa: ANN401
            if not names[0].startswith("-"):
                settings["metavar"] = names[0].upper()
            dashed = (name.replace("_", "-") if name.startswith("--") else name for name in names)
            return super().add_argument(*dashed, **settings)

    parser = DashedParser(prog=PROGRAM, description=DESCRIPTION, exit_on_error=False)
    commands = parser.add_subcommands(dest="command", metavar="COMMAND")
    for name, function in COMMANDS.items():
        about = inspect.cleandoc(function.__doc__ or "").partition("\n\nArgs:")[0]
        command = DashedParser(description=about, exit_on_error=False)
        command.add_function_arguments(function, as_group=False, as_positional=True)
        commands.add_subcommand(name, command, help=about.partition("\n")[0])
    return parser


def _chosen_metrics(names: str | None, own: str | None) -> list[str | NeuronMetric] | None:
    """Return metrics by name and one of the user's own, ``None`` if there is neither."""
    chosen: list[str | NeuronMetric] = [name.strip() for name in names.split(",")] if names is not None else []
    if own is not None:
        module_name, _, path = own.replace(":", ".").rpartition(".")
        if not (module_name and path):
            raise ValueError(f"Expected --metric to be package.Class but got {own!r}.")
        chosen.append(_called(_find(module_name, path), own, "metric"))
    return chosen or None


def _check_files(csv: str | None, markdown: str | None, plot: str | None) -> None:
    """Check that results can be written before there are any."""
    for option, file in (("--csv", csv), ("--markdown", markdown), ("--plot", plot)):
        if file is not None and not Path(file).parent.is_dir():
            raise ValueError(f"Expected {option} to be a file in a folder that exists but got {file!r}.")
    if plot is not None and Path(plot).suffix not in PLOTS:
        raise ValueError(f"Expected --plot to end in {', '.join(PLOTS)} but got {plot!r}.")


def _recorded(activations: str | None, presence: str | None) -> tuple[torch.Tensor, torch.Tensor] | None:
    if activations is None and presence is None:
        return None
    if activations is None or presence is None:
        raise ValueError("Expected --activations and --presence to be given together but got one of them.")
    first, second = (torch.from_numpy(np.load(file, allow_pickle=False)) for file in (activations, presence))
    return first, second


def _number(text: str, option: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"Expected {option} to be numbers separated by commas but got {text!r}.") from None


def _load_model(target: str) -> nn.Module:
    """Return the model that ``module:factory`` stands for."""
    module_name, colon, path = target.partition(":")
    if not (module_name and colon and path):
        raise ValueError(f"Expected TARGET to be MODULE:FACTORY, like torchvision.models:resnet18, but got {target!r}.")
    found = _find(module_name, path)
    if not isinstance(found, nn.Module):
        found = _called(found, target, "model")
    if not isinstance(found, nn.Module):
        raise TypeError(f"Expected {target} to be or give a torch.nn.Module but got {type(found).__name__}.")
    return found


def _find(module_name: str, path: str) -> Any:  # noqa: ANN401 - whatever the user's module holds
    """Return what a module holds under a dotted path."""
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as error:
        raise ValueError(
            f"Expected to import {module_name!r} but got {type(error).__name__}: {error}. "
            "Is it installed in this environment, or does it lie in the current folder?"
        ) from error
    for part in path.split("."):
        if not hasattr(found, part):
            raise ValueError(
                f"Expected {module_name!r} to have {path!r} but it has not. {closest(part, _public(found))}"
            )
        found = getattr(found, part)
    return found


def _called(found: Any, target: str, kind: str) -> Any:  # noqa: ANN401
    """Return what a class or function gives without arguments; anything else as it is."""
    if not callable(found):
        return found
    try:
        return found()
    except Exception as error:
        raise ValueError(
            f"Expected {target} to give a {kind} without arguments but got {type(error).__name__}: {error}."
        ) from error


def _public(found: object) -> list[str]:
    return [name for name in dir(found) if not name.startswith("_")]


def _table(descriptions: Sequence[LayerDescription]) -> list[str]:
    rows = [HEADER, *(_row(layer) for layer in descriptions)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if position >= 3 else cell.ljust(width)
            for position, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return [lines[0], "-" * len(lines[0]), *lines[1:]]


def _row(layer: LayerDescription) -> tuple[str, str, str, str, str]:
    fires = str(layer.fires) if layer.fires else "never"
    return layer.name, layer.class_name, layer.output_shape or "-", fires, f"{layer.parameters:,}"
