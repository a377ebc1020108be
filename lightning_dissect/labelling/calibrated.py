"""Constants of a sigmoid for an encoder, from a dataset whose images are labelled."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lightning_dissect.encoders import ENCODERS, EmbeddingCache, ImageTextEncoder, cache_folder
from lightning_dissect.labelling.concept_source import EncodedConcepts
from lightning_dissect.presence import SIGMOID_CONSTANTS, Calibration, SigmoidConstants, calibrate
from lightning_dissect.probe import (
    ConceptVocabulary,
    ProbeSet,
    annotation_presence,
    content_ids,
    probe_loader,
    resolve_vocabulary,
)

_CLIP = SIGMOID_CONSTANTS["open_clip:ViT-L-14-336/openai"]


def calibrate_encoder(
    dataset: Dataset[Any] | DataLoader[Any],
    vocabulary: str | Path | Sequence[str] | ConceptVocabulary,
    encoder: str | ImageTextEncoder = "open_clip",
    *,
    before: SigmoidConstants | None = None,
    image_fn: Callable[[Any], Tensor] | None = None,
    target_fn: Callable[[Any], Tensor] | None = None,
    denormalize: Callable[[Tensor], Tensor] | None = None,
    cache: bool | str | Path = True,
    max_bytes: int = 2**28,
) -> Calibration:
    """Find the constants that make an encoder's pseudo-labels agree with a dataset's own labels.

    They hold for concepts as rare as these and for prompts like these, see `calibrate`; the result says how much better
    they agree on the same images.

    Args:
        dataset: Labelled images, or a loader of them.
        vocabulary: Names of the classes or attributes, in the order of the labels.
        encoder: An encoder or its registered name.
        before: Constants to compare with; by default the published ones of the encoder, else those of CLIP ViT-L/14.
        image_fn: Picks the images out of a batch.
        target_fn: Picks the labels out of a batch: class indices or memberships.
        denormalize: Turns normalised images into images in ``[0, 1]``; by default found in the dataset's transform.
        cache: Whether embeddings are kept on disk, or the folder where.
        max_bytes: Most bytes that similarities may take, and again intermediate results.

    Raises:
        ValueError:
            If images or labels cannot be found, or the labels say nothing of the constants.

    Example:
        >>> class Ink:
        ...     temperature = 1.0
        ...     def encode_images(self, images: Tensor) -> Tensor:
        ...         return torch.stack([images.float().mean(dim=(1, 2, 3)), torch.full((len(images),), 100.0)], dim=1)
        ...     def encode_texts(self, texts: Sequence[str]) -> Tensor:
        ...         return torch.tensor([[1.0, 0.0] if text == "bright" else [0.0, 1.0] for text in texts])
        ...     def fingerprint(self) -> str:
        ...         return "ink"
        >>> data = [(torch.full((3, 2, 2), level), int(level < 0.5)) for level in (0.2, 0.3, 0.4, 0.6, 0.9)]
        >>> found = calibrate_encoder(data, ["bright", "dark"], Ink(), cache=False)
        >>> isinstance(found.constants, SigmoidConstants), found.after.log_loss < found.before.log_loss
        (True, True)

    """
    names = resolve_vocabulary(vocabulary)
    found = ENCODERS.resolve(encoder)
    concepts = EncodedConcepts(names, EmbeddingCache(found, cache_folder(cache)))
    loader = probe_loader(dataset)
    probe = ProbeSet([loader], image_fn, target_fn, denormalize)
    labels: list[Tensor] = []
    count = 0
    for place, batch in enumerate(loader):
        seen = probe.read_batch(batch, place, 0, with_targets=True)
        sample_ids = count + torch.arange(len(seen.images))
        concepts.update(seen.images, sample_ids, content_ids(seen.images), seen.targets)
        labels += [] if seen.targets is None else [seen.targets.cpu()]
        count += len(seen.images)
    concepts.cache.embed_waiting()
    _, matrix = concepts.matrix(max_bytes)
    concepts.flush()
    constants = before or SIGMOID_CONSTANTS.get(encoder if isinstance(encoder, str) else "", _CLIP)
    presence = annotation_presence(torch.cat(labels), names)
    return calibrate(matrix, presence, constants, temperature=found.temperature, max_bytes=max_bytes)
