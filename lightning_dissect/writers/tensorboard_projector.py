"""Neurons in TensorBoard's embedding projector."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_dissect.report.montage import tile
from lightning_dissect.report.projection import neuron_vectors
from lightning_dissect.report.selection import evenly_spread
from lightning_dissect.types import DissectionReport, NeuronLabel, Picture
from lightning_dissect.whole_files import write_whole

METADATA_COLUMNS = ("label", "layer", "unit", "quality", "status")
"""What the projector shows, searches and colours points by."""

SPRITE_SIZE = 32
"""Side of the picture that stands for a neuron, in pixels."""


def add_projection(logger: Any, report: DissectionReport, step: int, max_points: int) -> None:  # noqa: ANN401
    """Add the neurons of a report to the projector, each a point with its most activating image.

    The projector lists one tensor per dissection, ``<name>:<step>``; those of the run before it was resumed in the same
    folder stay in the list.

    Args:
        logger: A ``TensorBoardLogger``.
        report: The dissection. Neurons without candidates are left out; nothing is added if there is no other.
        step: Step under which the logger has the report.
        max_points: Most neurons; above it, neurons at even distances in the order of quality.

    """
    neurons = evenly_spread([neuron for neuron in report.neurons if neuron.candidates], max_points)
    if not neurons:
        return
    config = Path(logger.log_dir) / "projector_config.pbtxt"
    listed = config.read_text(encoding="utf-8") if config.exists() else ""
    logger.experiment.add_embedding(
        neuron_vectors(neurons, report.concept_embeddings),
        metadata=[_metadata(neuron) for neuron in neurons],
        metadata_header=list(METADATA_COLUMNS),
        label_img=torch.stack([_sprite(neuron, report.images) for neuron in neurons]),
        global_step=step,
        tag=report.name,
    )
    if listed:
        write_whole(config, merged_configs(listed, config.read_text(encoding="utf-8")))


def merged_configs(older: str, newer: str) -> str:
    r"""Return a projector's list of tensors with those in front that were listed before.

    Args:
        older: Content of ``projector_config.pbtxt`` before.
        newer: Its content now: the tensors that this process added.

    Example:
        >>> one, two = 'embeddings {\n  tensor_name: "a"\n}\n', 'embeddings {\n  tensor_name: "b"\n}\n'
        >>> merged_configs(one, one + two) == merged_configs(one, two) == one + two
        True

    """
    blocks = re.findall(r"^embeddings \{\n.*?^\}\n", older, flags=re.MULTILINE | re.DOTALL)
    return "".join(block for block in blocks if block not in newer) + newer


def _metadata(neuron: NeuronLabel) -> list[str]:
    cells = (neuron.title, neuron.layer, str(neuron.unit), f"{neuron.quality:.4g}", neuron.status)
    return [" ".join(cell.split()) for cell in cells]


def _sprite(neuron: NeuronLabel, images: Mapping[int, Picture]) -> Tensor:
    picture = images.get(neuron.top_images[0].sample_id) if neuron.top_images else None
    pixels = np.asarray(tile(picture, SPRITE_SIZE))
    # Half a level more, because the writer cuts off what is behind the point when it turns numbers into levels.
    return (torch.from_numpy(pixels.copy()).permute(2, 0, 1) + 0.5) / 255
