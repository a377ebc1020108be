"""The assembled encoder as a checkpoint of open_clip."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lightning_dissect.encoders.assembled import AssembledEncoder, AssembledTowers
from lightning_dissect.encoders.distillation import Distillation
from lightning_dissect.encoders.image_preprocessing import ImagePreprocessing
from lightning_dissect.encoders.isolation import isolated_inference
from lightning_dissect.encoders.minilm import minilm_folder

CONTEXT_LENGTH = 32
"""Tokens that the exported model reads; open_clip pads every text to this length."""

TEMPLATES = ("{}", "a photo of a {}.")


def export_open_clip(
    encoder: AssembledEncoder,
    dirpath: str | Path,
    *,
    embed_dim: int = 640,
    texts: Sequence[str] | None = None,
    distillation: Distillation | None = None,
) -> Path:
    """Write an assembled encoder as an open_clip model folder, for ``OpenClipEncoder("local-dir:FOLDER")``.

    The image side is a projection: the rows of the new classifier are the leading right singular vectors of the centred
    old one, so inner products with texts lose only what the last singular directions hold. The text side replaces the
    kernel by the two-layer projection that open_clip knows, fitted to the kernel's answers on texts alone; no image
    takes part. Half precision. With the defaults it takes about a minute on two cores.

    The configuration refers to the installed MiniLM package by its path: write the folder on the machine that uses it.
    The logit scale is open_clip's initial one; only cosines mean something.

    Args:
        encoder: What is exported.
        dirpath: Folder to write; it is made if need be.
        embed_dim: Dimensions of the common space, at most 999, the rank of the centred classifier.
        texts: What the text projection is fitted on; ``None`` takes the anchors and the 21,000 nouns of ImageNet, plain
            and in a prompt.
        distillation: How it is fitted.

    Returns:
        ``dirpath``.

    Raises:
        ValueError:
            If ``embed_dim`` is not in ``1..999`` or ``texts`` is empty.

    """
    if not 0 < embed_dim <= 999:
        raise ValueError(f"Expected `embed_dim` to be in 1..999 but got {embed_dim}.")
    if texts is not None and not texts:
        raise ValueError("Expected `texts` to hold at least one text but got none.")
    from safetensors.torch import save_file

    towers = cast("AssembledTowers", encoder.towers)
    chosen = distillation_texts(towers.anchor_texts) if texts is None else list(texts)
    with isolated_inference(towers.device):
        basis = image_projection(towers.class_directions(), embed_dim)
        inputs = towers.text.encode(chosen)
        targets = towers.bridge(F.normalize(inputs, dim=-1)) @ basis.T
    projection = (distillation or Distillation()).fit(inputs.cpu(), targets.cpu())
    folder = Path(dirpath)
    folder.mkdir(parents=True, exist_ok=True)
    towers.text.tokenizer.save_pretrained(folder)
    config = json.dumps(export_config(encoder.tower, towers.preprocessing, embed_dim), indent=2)
    folder.joinpath("open_clip_config.json").write_text(config + "\n", encoding="utf-8")
    save_file(checkpoint(towers, basis, projection), folder / "open_clip_model.safetensors")
    return folder


def distillation_texts(anchor_texts: Sequence[str]) -> list[str]:
    """Return the anchors of the kernel and the nouns of ImageNet, the nouns plain and in a prompt by turns.

    Args:
        anchor_texts: The anchors, which are taken as they are.

    """
    from timm.data import ImageNetInfo  # type: ignore[attr-defined]

    nouns = dict.fromkeys(lemmas.split(", ")[0] for lemmas in ImageNetInfo("imagenet-21k-goog").label_descriptions())
    prompts = [TEMPLATES[index % len(TEMPLATES)].format(noun) for index, noun in enumerate(nouns)]
    return list(dict.fromkeys([*anchor_texts, *prompts]))


def image_projection(directions: Tensor, embed_dim: int) -> Tensor:
    """Return the directions in feature space that tell the classes apart best, as orthonormal rows.

    Args:
        directions: Of the classes, shape ``(classes, features)``.
        embed_dim: Number of rows.

    Returns:
        Leading right singular vectors, shape ``(embed_dim, features)``.

    """
    return cast("Tensor", torch.linalg.svd(directions, full_matrices=False).Vh)[:embed_dim]


def export_config(tower: str, preprocessing: ImagePreprocessing, embed_dim: int) -> dict[str, Any]:
    """Return the content of ``open_clip_config.json``.

    Args:
        tower: ``"lite0"``, ``"lite1"`` or ``"lite2"``.
        preprocessing: Of the images. What the centre crop leaves out cannot be said in this format.
        embed_dim: Dimensions of the common space.

    """
    return {
        "model_cfg": {
            "embed_dim": embed_dim,
            "vision_cfg": {
                "timm_model_name": f"tf_efficientnet_{tower}",
                "timm_model_pretrained": False,
                "timm_pool": "avg",
                "timm_proj": "",
                "image_size": preprocessing.size[0],
            },
            "text_cfg": {
                "hf_model_name": str(minilm_folder()),
                "hf_tokenizer_name": str(minilm_folder()),
                "hf_model_pretrained": False,
                "hf_pooler_type": "mean_pooler",
                "hf_proj_type": "mlp",
                "context_length": CONTEXT_LENGTH,
            },
        },
        "preprocess_cfg": {
            "mean": list(preprocessing.mean),
            "std": list(preprocessing.std),
            "interpolation": preprocessing.interpolation,
            "resize_mode": preprocessing.resize,
        },
    }


def checkpoint(towers: AssembledTowers, basis: Tensor, projection: nn.Module) -> dict[str, Tensor]:
    """Return the weights under the names of open_clip's ``CustomTextCLIP``, floating-point ones in half precision.

    Args:
        towers: The two towers.
        basis: Replaces the classifier, shape ``(embed_dim, features)``; its bias is zero.
        projection: Follows the text tower.

    """
    visual = {**towers.visual.state_dict(), "classifier.weight": basis, "classifier.bias": basis.new_zeros(len(basis))}
    parts = {
        "visual.trunk.": visual,
        "text.transformer.": towers.text.transformer.state_dict(),
        "text.proj.": projection.state_dict(),
        "": {"logit_scale": torch.tensor(1 / 0.07).log()},
    }
    weights = {prefix + name: value.cpu() for prefix, part in parts.items() for name, value in part.items()}
    return {
        name: (value.half() if value.is_floating_point() else value).contiguous() for name, value in weights.items()
    }
