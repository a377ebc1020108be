"""Questions as an image-text encoder sees them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from lightning_dissect.encoders import (
    ENCODERS,
    EmbeddingCache,
    ImageTextEncoder,
    cache_folder,
    family_of,
    prompted_embeddings,
)
from lightning_dissect.evaluators.base import Questions
from lightning_dissect.probe import ConceptVocabulary, content_ids
from lightning_dissect.types import Picture


@dataclass(frozen=True)
class EncodedQuestions:
    """Cosines of images and texts, times the encoder's temperature, are products of these.

    Args:
        rows: Rows of the images that are asked about or compared with, and have an embedding, ascending.
        images: Their embeddings, shape ``(rows, dimensions)``.
        labels: Embeddings of the labels times temperature, shape ``(labels, dimensions)``; NaN where a label has none.
        concepts: Embeddings of the concepts times temperature, shape ``(concepts, dimensions)``.

    """

    rows: Tensor
    images: Tensor
    labels: Tensor
    concepts: Tensor

    def places(self, rows: Tensor) -> Tensor:
        """Return where in ``images`` some rows of the evidence are, -1 where they are not.

        Args:
            rows: Any shape.

        """
        if not len(self.rows):
            return torch.full_like(rows, -1)
        found = torch.searchsorted(self.rows, rows).clamp_max(len(self.rows) - 1)
        return found.where(self.rows[found] == rows, -1)


@dataclass(eq=False)
class EncoderEvaluator:
    """Base of evaluators that see images and texts as an encoder does: the labels' own, or another.

    Another is the better witness, and costs the embedding of the pictures and of the vocabulary once.

    Args:
        encoder: An encoder or its registered name; ``None`` for the one that chose the labels.
        cache: Whether embeddings by an encoder of one's own are kept on disk, or the folder where.

    """

    encoder: str | ImageTextEncoder | None = None
    cache: bool | str = field(default=True, kw_only=True, repr=False)

    def __post_init__(self) -> None:
        self._own = None if self.encoder is None else _own_embeddings(self.encoder, self.cache)
        self._concepts: tuple[ConceptVocabulary, Tensor] | None = None

    @property
    def family(self) -> str:
        """Family of an encoder of one's own, else empty; see `LabelEvaluator.family`."""
        return "" if self._own is None else family_of(self._own.encoder)

    @property
    def questions_at_once(self) -> int:
        """Many, because images and labels are embedded once; see `LabelEvaluator.questions_at_once`."""
        return 2**19

    def check(self, vocabulary: ConceptVocabulary, has_encoder: bool) -> None:  # noqa: ARG002
        """Raise what would stop the encoder; see `LabelEvaluator.check`."""
        if self._own is not None:
            self._own.check()
        elif not has_encoder:
            raise ValueError(
                "Expected labels to be chosen by an encoder, or an evaluator with an `encoder` of its own, such as "
                "'embedding_similarity:open_clip', but `encoder` is 'annotations'."
            )

    def release(self) -> None:
        """Write what was embedded to disk; see `LabelEvaluator.release`."""
        if self._own is not None:
            self._own.flush()

    def see(self, questions: Questions) -> EncodedQuestions:
        """Return questions as the encoder sees them.

        Args:
            questions: The questions.

        Raises:
            ValueError:
                If the labels' encoder is meant and there is none.

        """
        rows = torch.unique(torch.cat([questions.images, questions.evidence.reference]))
        if self._own is not None:
            return self._see_by_own(questions, rows, self._own)
        evidence = questions.evidence
        if evidence.encoded is None:
            raise ValueError("Expected the evidence to hold embeddings of the labels' encoder but it has none.")
        encoded = evidence.encoded
        place_of = {concept: place for place, concept in enumerate(evidence.vocabulary.concepts)}
        places = torch.tensor([place_of.get(label, -1) for label in questions.labels])
        concepts = encoded.temperature * encoded.concepts
        labels = concepts[places].where((places >= 0)[:, None], torch.nan)
        return EncodedQuestions(rows, encoded.images[rows], labels, concepts)

    def _see_by_own(self, questions: Questions, rows: Tensor, own: EmbeddingCache) -> EncodedQuestions:
        evidence = questions.evidence
        vocabulary, temperature = evidence.vocabulary, own.encoder.temperature
        if self._concepts is None or self._concepts[0] is not vocabulary:
            self._concepts = vocabulary, prompted_embeddings(own, vocabulary.prompts)
        prompts = [[template.replace("{}", label) for label in questions.labels] for template in vocabulary.templates]
        labels = prompted_embeddings(own, prompts)
        seen = [row for row in rows.tolist() if evidence.pictures[row] is not None]
        images = _embedded(own, [evidence.pictures[row] for row in seen]) if seen else labels[:0]
        return EncodedQuestions(torch.tensor(seen), images, temperature * labels, temperature * self._concepts[1])


def _own_embeddings(encoder: str | ImageTextEncoder, cache: bool | str) -> EmbeddingCache:
    return EmbeddingCache(ENCODERS.resolve(encoder), cache_folder(cache))


def _embedded(own: EmbeddingCache, pictures: Sequence[Picture]) -> Tensor:
    ids = []
    for picture in pictures:
        image = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].contiguous()
        ids.append(content_ids(image))
        own.update_images(image, ids[-1])
    return own.image_embeddings(torch.cat(ids))
