"""Where concept matrix and presence come from: an encoder's embeddings or the dataset's own annotations."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import normalize

from lightning_dissect.concept_matrix import ConceptMatrix
from lightning_dissect.encoders import EmbeddingCache, ImageTextEncoder, prompted_embeddings
from lightning_dissect.encoders.progress import Progress, silent
from lightning_dissect.labelling.shared_presence import shared_presence
from lightning_dissect.peers import Peers
from lightning_dissect.presence import (
    ConceptPresence,
    GivenPresence,
    PresenceSource,
    SigmoidConstants,
    SigmoidPresence,
)
from lightning_dissect.probe.annotations import annotation_matrix
from lightning_dissect.probe.vocabulary import ConceptVocabulary
from lightning_dissect.recording import PooledActivations, first_occurrences


class ConceptSource(Protocol):
    """Sees the images of a dissection batch by batch and turns them into the concept matrix.

    Each process sees its own images; after `exchange` every process can make the matrix of all.
    """

    vocabulary: ConceptVocabulary

    @property
    def encoder(self) -> ImageTextEncoder | None:
        """The encoder that labels are chosen with, if there is one."""
        ...

    def check(self) -> None:
        """Raise what would stop a dissection: a missing package, weights that cannot be loaded."""
        ...

    def start(self) -> None:
        """Forget the images of the last dissection, but not what is known of their content."""
        ...

    def update(
        self, images: Tensor, sample_ids: Tensor, content_ids: Tensor, targets: Tensor | None, progress: Progress = ...
    ) -> None:
        """See a batch of this process.

        Args:
            images: Canonical probe images, shape ``(images, 3, height, width)``, uint8.
            sample_ids: Id of each image, shape ``(images,)``. An id that comes again counts once, as it came first.
            content_ids: Content id of each image, shape ``(images,)``.
            targets: Annotations of the images, if any.
            progress: Told of work that takes a while.

        """
        ...

    def __len__(self) -> int:
        """Return the number of different images that this process has seen since `start`."""
        ...

    def exchange(self, peers: Peers, progress: Progress = ...) -> None:
        """Make every process know what all have seen. Every process must call it.

        Args:
            peers: The processes. Of an id that several have seen, the lowest rank's image counts.
            progress: Told of work that takes a while.

        """
        ...

    def matrix(self, max_bytes: int) -> tuple[Tensor, ConceptMatrix]:
        """Return the concept matrix of all images: of all processes after `exchange`, else of this one.

        Args:
            max_bytes: Most bytes of embeddings and matrix; one that takes more is made in parts where it can be.

        Returns:
            Sample ids in ascending order, shape ``(images,)``, and the matrix of these images, float32. It is the
            object that was returned last if images and vocabulary are the same, so that what was made of it may be
            used again.

        """
        ...

    def presence(self, matrix: ConceptMatrix, max_bytes: int, peers: Peers | None = None) -> PresenceSource:
        """Return the presence of the concepts in the images of a concept matrix.

        Args:
            matrix: What `matrix` returned, or some of its images.
            max_bytes: Most bytes that intermediate results may take.
            peers: The processes among which the work is shared: every one must then call this. By default this process
                does it alone.

        Raises:
            ValueError:
                If the matrix does not tell concepts apart.

        """
        ...

    def directions(self, concepts: Tensor) -> Tensor | None:
        """Return where concepts lie as seen from the middle of the vocabulary, ``None`` if they have no embeddings.

        Args:
            concepts: Indices of concepts, shape ``(chosen,)``.

        Returns:
            Embeddings of norm 1, less their mean over the vocabulary, of norm 1 again, shape
            ``(chosen, dimensions)``, float32 on the CPU; zero for a concept that is the mean.

        """
        ...

    def flush(self) -> None:
        """Keep on disk what was expensive to compute."""
        ...


@dataclass(frozen=True)
class _Made:
    """A matrix and what it was made of."""

    images: Tensor
    vocabulary: ConceptVocabulary
    matrix: ConceptMatrix

    def fits(self, images: Tensor, vocabulary: ConceptVocabulary) -> bool:
        """Return whether the matrix of these would be the same."""
        return self.vocabulary is vocabulary and torch.equal(self.images, images)


class EncodedConcepts:
    """Concept matrix from an image-text encoder: cosine times the encoder's temperature.

    Of an image 16 bytes are kept, its sample id and content id. Embeddings are the cache's; between processes they
    travel only where a process does not have them, so that in all dissections but the first nothing but ids does.

    Args:
        vocabulary: The concepts and their prompts.
        cache: Embeddings of the encoder, on disk or in memory.
        constants: Of the sigmoid that turns a cosine into presence, ``None`` for a softmax over the concepts.

    """

    def __init__(
        self, vocabulary: ConceptVocabulary, cache: EmbeddingCache, constants: SigmoidConstants | None = None
    ) -> None:
        self.vocabulary = vocabulary
        self.cache = cache
        self.constants = constants
        self._seen: list[Tensor] = []
        self._everywhere: Tensor | None = None
        self._concepts: tuple[ConceptVocabulary, Tensor] | None = None
        self._made: _Made | None = None

    @property
    def encoder(self) -> ImageTextEncoder:
        """The cache's encoder; see `ConceptSource.encoder`."""
        return self.cache.encoder

    def check(self) -> None:
        """Check the encoder; see `ConceptSource.check` and `EmbeddingCache.check`."""
        self.cache.check()

    def start(self) -> None:
        """Forget the images of the last dissection; see `ConceptSource.start` and `EmbeddingCache.start_cycle`."""
        self.cache.start_cycle(last=self._images()[:, 1])
        self._seen, self._everywhere = [], None

    def update(
        self,
        images: Tensor,
        sample_ids: Tensor,
        content_ids: Tensor,
        targets: Tensor | None,  # noqa: ARG002
        progress: Progress = silent,
    ) -> None:
        """Embed the images that are new, once there are enough of them; see `ConceptSource.update`."""
        self.cache.update_images(images, content_ids, progress)
        self._seen.append(torch.stack([sample_ids.cpu().long(), content_ids.cpu()], dim=1))
        self._everywhere = None

    def __len__(self) -> int:
        return len(_first_of_each(_joined(self._seen)))

    def exchange(self, peers: Peers, progress: Progress = silent) -> None:
        """Exchange ids, then what some process has not embedded; see `ConceptSource.exchange`."""
        self.cache.embed_waiting(progress)
        own = _first_of_each(_joined(self._seen))
        self._everywhere = _first_of_each(torch.cat(peers.all_gather_rows(own)))
        self.cache.exchange_images(peers, self._everywhere[:, 1])
        is_known = self._concepts is not None and self._concepts[0] is self.vocabulary
        if not all(peers.all_gather(is_known)):
            prompts = [prompt for of_template in self.vocabulary.prompts for prompt in of_template]
            self.cache.exchange_texts(peers, prompts, progress)
            self.concept_embeddings()

    @torch.inference_mode(mode=False)
    def matrix(self, max_bytes: int) -> tuple[Tensor, ConceptMatrix]:
        """Return temperature times cosine; embeddings count twice, with those of the cache. See `ConceptSource`."""
        sample_ids, content_ids = self._images().T.contiguous()
        if self._made is None or not self._made.fits(content_ids, self.vocabulary):
            self._made = None
            images = normalize(self.cache.image_embeddings(content_ids), dim=-1)
            concepts = self.cache.encoder.temperature * self.concept_embeddings()
            left = max_bytes - 2 * (images.nbytes + concepts.nbytes)
            self._made = _Made(content_ids, self.vocabulary, ConceptMatrix(images, concepts, left))
        return sample_ids, self._made.matrix

    def presence(self, matrix: ConceptMatrix, max_bytes: int, peers: Peers | None = None) -> PresenceSource:
        """Return sigmoid or softmax of the similarities; see `ConceptSource.presence`."""
        if self.constants is not None:
            return SigmoidPresence(matrix, self.constants, self.cache.encoder.temperature)
        if peers is None:
            return ConceptPresence(matrix, max_bytes=max_bytes)
        return shared_presence(matrix, peers, max_bytes)

    @torch.inference_mode(mode=False)
    def directions(self, concepts: Tensor) -> Tensor:
        """Take the mean away, which all texts share; see `ConceptSource.directions`."""
        embeddings = self.concept_embeddings()
        return normalize(embeddings[concepts.to(embeddings.device)] - embeddings.mean(dim=0), dim=-1).float().cpu()

    def flush(self) -> None:
        """Keep the embeddings on disk."""
        self.cache.flush()

    @torch.inference_mode(mode=False)
    def concept_embeddings(self) -> Tensor:
        """Return one embedding of norm 1 per concept, the mean over its prompts, shape ``(concepts, dimensions)``."""
        if self._concepts is None or self._concepts[0] is not self.vocabulary:
            self._concepts = self.vocabulary, prompted_embeddings(self.cache, self.vocabulary.prompts)
        return self._concepts[1]

    def _images(self) -> Tensor:
        """Return sample id and content id of each image, ascending, shape ``(images, 2)``."""
        return _first_of_each(_joined(self._seen)) if self._everywhere is None else self._everywhere


class AnnotatedConcepts:
    """Concept matrix from the dataset's own annotations, where no encoder can be used.

    Annotations are kept as they come, and become presence in ``[0, 1]`` in the matrix, which is whole.

    Args:
        vocabulary: Names of the classes or attributes, in the order of the annotations.

    Example:
        >>> concepts = AnnotatedConcepts(ConceptVocabulary(("cat", "dog")))
        >>> images, ids = torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.tensor([4, 2])
        >>> concepts.update(images, ids, ids, targets=torch.tensor([1, 0]))
        >>> sample_ids, matrix = concepts.matrix(max_bytes=0)
        >>> sample_ids, matrix.whole
        (tensor([2, 4]), tensor([[1., 0.],
                [0., 1.]]))

    """

    def __init__(self, vocabulary: ConceptVocabulary) -> None:
        self.vocabulary = vocabulary
        self._own = PooledActivations()
        self._everywhere: PooledActivations | None = None
        self._made: _Made | None = None

    @property
    def encoder(self) -> None:
        """There is none; see `ConceptSource.encoder`."""
        return

    def check(self) -> None:
        """Check nothing: annotations are seen with the images."""

    def start(self) -> None:
        """Forget all annotations; see `ConceptSource.start`."""
        self._own, self._everywhere = PooledActivations(), None

    def update(
        self,
        images: Tensor,  # noqa: ARG002
        sample_ids: Tensor,
        content_ids: Tensor,  # noqa: ARG002
        targets: Tensor | None,
        progress: Progress = silent,  # noqa: ARG002
    ) -> None:
        """Keep the annotations; see `ConceptSource.update`.

        Raises:
            ValueError:
                If there are no annotations or they do not fit the vocabulary.

        """
        if targets is None:
            raise ValueError(
                "Expected the batch to hold annotations because `encoder` is 'annotations' but got none. "
                "Give a `target_fn` that picks them out of a batch."
            )
        presence = annotation_matrix(targets, self.vocabulary)
        self._own.update(
            sample_ids.cpu(), targets[:, None] if targets.ndim == 1 and len(self.vocabulary) > 1 else presence
        )
        self._everywhere = None

    def __len__(self) -> int:
        return len(self._own)

    def exchange(self, peers: Peers, progress: Progress = silent) -> None:  # noqa: ARG002
        """Exchange ids and annotations; see `ConceptSource.exchange`."""
        sample_ids, rows = self._own.compute()
        everywhere = PooledActivations()
        parts = zip(peers.all_gather_rows(sample_ids), peers.all_gather_rows(rows), strict=True)
        for of_process in parts:
            everywhere.update(*of_process)
        self._everywhere = everywhere

    @torch.inference_mode(mode=False)
    def matrix(self, max_bytes: int) -> tuple[Tensor, ConceptMatrix]:  # noqa: ARG002
        """Return the annotations as presence in ``[0, 1]``; see `ConceptSource.matrix`."""
        sample_ids, rows = (self._own if self._everywhere is None else self._everywhere).compute()
        if self._made is None or not self._made.fits(rows, self.vocabulary):
            is_index = rows.shape[1] < len(self.vocabulary)
            presence = annotation_matrix(rows[:, 0].long(), self.vocabulary) if is_index else rows
            self._made = _Made(rows, self.vocabulary, ConceptMatrix.of(presence))
        return sample_ids, self._made.matrix

    def presence(
        self,
        matrix: ConceptMatrix,
        max_bytes: int,  # noqa: ARG002
        peers: Peers | None = None,  # noqa: ARG002
    ) -> PresenceSource:
        """Return the annotations as they are; see `ConceptSource.presence`."""
        return GivenPresence(matrix.whole)

    def directions(self, concepts: Tensor) -> None:  # noqa: ARG002
        """There are none; see `ConceptSource.directions`."""
        return

    def flush(self) -> None:
        """Keep nothing: annotations cost nothing."""


def _joined(parts: list[Tensor]) -> Tensor:
    return torch.cat(parts) if parts else torch.empty(0, 2, dtype=torch.int64)


def _first_of_each(pairs: Tensor) -> Tensor:
    """Return the pairs in ascending order of their first numbers, of several with the same the one that came first."""
    return pairs[first_occurrences(pairs[:, 0])]
