"""Where the image x concept matrix comes from: an encoder's embeddings or the dataset's own annotations."""

from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import normalize

from lightning_dissect.encoders import ENCODERS, EmbeddingCache, ImageTextEncoder
from lightning_dissect.probe.annotations import annotation_matrix
from lightning_dissect.probe.vocabulary import ConceptVocabulary


class ConceptSource(Protocol):
    """Turns what is known of each image into one row of numbers, and all rows into the concept matrix.

    Rows are compact and belong to one image each, so they can be kept by sample id and merged over processes; the
    matrix is made only where labels are.
    """

    vocabulary: ConceptVocabulary

    def check(self) -> None:
        """Raise what would stop `rows` and `matrix`: a missing package, weights that cannot be loaded."""
        ...

    def rows(self, images: Tensor, content_ids: Tensor, targets: Tensor | None) -> Tensor:
        """Return one row per image.

        Args:
            images: Canonical probe images, shape ``(images, 3, height, width)``, uint8.
            content_ids: Content id of each image, shape ``(images,)``.
            targets: Annotations of the images, if any.

        Returns:
            Shape ``(images, width)``, float32 on the CPU.

        """
        ...

    def matrix(self, rows: Tensor) -> Tensor:
        """Return the concept matrix of some rows.

        Args:
            rows: What `rows` returned, shape ``(images, width)``.

        Returns:
            Shape ``(images, concepts)``, float32.

        """
        ...

    def flush(self) -> None:
        """Keep on disk what was expensive to compute."""
        ...


def resolve_concepts(
    vocabulary: ConceptVocabulary, encoder: str | ImageTextEncoder, dirpath: Path | None = None
) -> ConceptSource:
    """Return the source that a choice of encoder stands for.

    Args:
        vocabulary: The concepts.
        encoder: An encoder, its registered name, or ``"annotations"`` for the dataset's own annotations.
        dirpath: Folder in which embeddings are kept, ``None`` keeps them in memory.

    Raises:
        ValueError:
            If ``encoder`` is a string that is not registered.

    Example:
        >>> type(resolve_concepts(ConceptVocabulary(("cat", "dog")), "annotations")).__name__
        'AnnotatedConcepts'

    """
    if isinstance(encoder, str) and encoder == "annotations":
        return AnnotatedConcepts(vocabulary)
    return EncodedConcepts(vocabulary, EmbeddingCache(ENCODERS.resolve(encoder), dirpath))


class EncodedConcepts:
    """Concept matrix from an image-text encoder: cosine times the encoder's temperature.

    Args:
        vocabulary: The concepts and their prompts.
        cache: Embeddings of the encoder, on disk or in memory.

    """

    def __init__(self, vocabulary: ConceptVocabulary, cache: EmbeddingCache) -> None:
        self.vocabulary = vocabulary
        self.cache = cache

    def check(self) -> None:
        """Load the encoder; see `ConceptSource.check`.

        Raises:
            TypeError:
                If the encoder lacks something of the protocol.

        """
        encoder: object = self.cache.encoder
        if not isinstance(encoder, ImageTextEncoder):
            raise TypeError(
                "Expected `encoder` to be a name or an object with `temperature`, `encode_images`, `encode_texts` and "
                f"`fingerprint` but got {type(encoder).__name__}."
            )
        encoder.fingerprint()

    def rows(self, images: Tensor, content_ids: Tensor, targets: Tensor | None) -> Tensor:  # noqa: ARG002
        """Return the embeddings of the images; see `ConceptSource.rows`."""
        self.cache.update_images(images, content_ids)
        return normalize(self.cache.image_embeddings(content_ids), dim=-1)

    def matrix(self, rows: Tensor) -> Tensor:
        """Return temperature times cosine; see `ConceptSource.matrix`."""
        return self.cache.encoder.temperature * (rows @ self.concept_embeddings().T)

    def flush(self) -> None:
        """Keep the embeddings on disk."""
        self.cache.flush()

    def concept_embeddings(self) -> Tensor:
        """Return one embedding of norm 1 per concept, the mean over its prompts, shape ``(concepts, dimensions)``."""
        by_template = [normalize(self.cache.text_embeddings(prompts), dim=-1) for prompts in self.vocabulary.prompts]
        return normalize(torch.stack(by_template).mean(dim=0), dim=-1)


class AnnotatedConcepts:
    """Concept matrix from the dataset's own annotations, where no encoder can be used.

    Args:
        vocabulary: Names of the classes or attributes, in the order of the annotations.

    Example:
        >>> concepts = AnnotatedConcepts(ConceptVocabulary(("cat", "dog")))
        >>> images, ids = torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.tensor([0, 1])
        >>> concepts.matrix(concepts.rows(images, ids, targets=torch.tensor([1, 0])))
        tensor([[0., 1.],
                [1., 0.]])

    """

    def __init__(self, vocabulary: ConceptVocabulary) -> None:
        self.vocabulary = vocabulary

    def check(self) -> None:
        """Check nothing: annotations are seen with the images."""

    def rows(self, images: Tensor, content_ids: Tensor, targets: Tensor | None) -> Tensor:  # noqa: ARG002
        """Return the annotations as presence in ``[0, 1]``; see `ConceptSource.rows`.

        Raises:
            ValueError:
                If there are no annotations or they do not fit the vocabulary.

        """
        if targets is None:
            raise ValueError(
                "Expected the batch to hold annotations because `encoder` is 'annotations' but got none. "
                "Give a `target_fn` that picks them out of a batch."
            )
        return annotation_matrix(targets, self.vocabulary).cpu()

    def matrix(self, rows: Tensor) -> Tensor:
        """Return the rows themselves; see `ConceptSource.matrix`."""
        return rows

    def flush(self) -> None:
        """Keep nothing: annotations cost nothing."""
