"""Concepts as an encoder sees them: the mean over the prompts that they stand in."""

from collections.abc import Iterable, Sequence

from torch import Tensor
from torch.nn.functional import normalize

from lightning_dissect.encoders.cache import EmbeddingCache


def prompted_embeddings(cache: EmbeddingCache, prompts: Iterable[Sequence[str]]) -> Tensor:
    """Return one embedding of norm 1 per concept, the mean over its prompts.

    Args:
        cache: Embeddings of the encoder.
        prompts: For each template the concepts put into it, at least one.

    Returns:
        Shape ``(concepts, dimensions)``.

    """
    of_templates = (normalize(cache.text_embeddings(texts), dim=-1) for texts in prompts)
    total = next(of_templates)
    for embeddings in of_templates:
        total += embeddings
    return normalize(total, dim=-1)
