"""The command that tests metrics."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from lightning_dissect.commands.files import check_files
from lightning_dissect.commands.importing import called, find
from lightning_dissect.metrics import NeuronMetric, experimental_sanity_check, theoretical_sanity_check
from lightning_dissect.metrics.sanity_theory import FREQUENCIES


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
    check_files(csv=csv, markdown=markdown, plot=plot)
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


def _chosen_metrics(names: str | None, own: str | None) -> list[str | NeuronMetric] | None:
    """Return metrics by name and one of the user's own, ``None`` if there is neither."""
    chosen: list[str | NeuronMetric] = [name.strip() for name in names.split(",")] if names is not None else []
    if own is not None:
        module_name, _, path = own.replace(":", ".").rpartition(".")
        if not (module_name and path):
            raise ValueError(f"Expected --metric to be package.Class but got {own!r}.")
        chosen.append(called(find(module_name, path), own, "metric"))
    return chosen or None


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
