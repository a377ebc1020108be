"""Pointwise mutual information of top images and concepts, common to WPMI and soft-WPMI."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from lightning_dissect.compiled import Array, compiled, runs_compiled
from lightning_dissect.concept_matrix import ConceptMatrix
from lightning_dissect.presence import ConceptPresence
from lightning_dissect.similarity.base import identity, score_all
from lightning_dissect.similarity.concept_blocks import check_activations, score_blocks
from lightning_dissect.similarity.live import live_neurons
from lightning_dissect.similarity.top_images import limited_top_k, top_rows
from lightning_dissect.similarity.top_likelihood import LANES, TopLikelihood
from lightning_dissect.threads import Rooms, even_width, run_in_threads

TILES_AT_ONCE = 12
"""Tiles that a thread reads at once: the rows of a large matrix are far apart, and each is worth the way only once."""


class TopImageSimilarity(ABC):
    """What WPMI and soft-WPMI share: they differ in how surely an image belongs to the top of a neuron."""

    top_k: int
    scale: float
    prior_weight: float
    epsilon: float
    max_bytes: int

    @abstractmethod
    def membership(self, count: int) -> Tensor:
        """Return the probability that the image of each rank belongs to the top, shape ``(count,)``, float64.

        Args:
            count: Images of the top.

        """

    def score(self, activations: Tensor, concept_matrix: Tensor) -> Tensor:
        """Score neurons against concepts; see `Similarity.score`.

        Raises:
            ValueError:
                If the shapes do not fit or there are fewer than 20 images and fewer than ``top_k``.

        """
        return score_all(self.prepared(concept_matrix), activations)

    def prepared(
        self, concept_matrix: Tensor | ConceptMatrix, normaliser: Tensor | None = None
    ) -> "PointwiseMutualInformation":
        """Compute the normalisers of the concept matrix once for many layers; see `PreparableSimilarity.prepared`.

        Args:
            concept_matrix: Image-text similarities, shape ``(images, concepts)``.
            normaliser: What `presence_normaliser` returned with ``scale`` for all images, if it is known already.

        Raises:
            ValueError:
                If there are fewer than 20 images and fewer than ``top_k``.

        """
        presence = ConceptPresence(concept_matrix, self.scale, self.max_bytes, normaliser)
        membership = self.membership(limited_top_k(self.top_k, len(presence.normaliser)))
        return PointwiseMutualInformation(presence, membership, self.epsilon, self.prior_weight, self.max_bytes)


class PointwiseMutualInformation:
    r"""Log-likelihood of each neuron's top images under each concept, relative to the other neurons.

    With the log-likelihood :math:`L` of `TopLikelihood`,

    .. math:: \text{score}(k, m) = L_{km} - \lambda \log \frac{1}{K} \sum_{k'} e^{L_{k'm}} .

    The mean runs over the :math:`K` live neurons of all processes. On the CPU a compiled loop takes the products if
    numba is installed, otherwise torch does. The loop reads probabilities in float32 (see `TopLikelihood`), so its
    log-likelihoods differ from torch's, which are float64 throughout, by some 1e-6.

    Args:
        presence: Presence of the concepts in the images.
        membership: Probability that the image of rank j belongs to the neuron's top, shape ``(top_k,)``.
        epsilon: Least value of a factor.
        prior_weight: Weight :math:`\lambda` of the mean over neurons.
        max_bytes: Most bytes that an intermediate tensor may take; each thread holds a few of them. The compiled loop
            takes no fewer than 32 concepts at a time, 128 bytes per image and 256 per neuron.

    Example:
        >>> presence = ConceptPresence(torch.eye(3), temperature=1.0)
        >>> information = PointwiseMutualInformation(presence, torch.ones(1), 1e-7, prior_weight=1.0, max_bytes=2**20)
        >>> next(information.blocks(torch.eye(3), width=3))[1].argmax(dim=1)
        tensor([0, 1, 2])

    """

    def __init__(
        self, presence: ConceptPresence, membership: Tensor, epsilon: float, prior_weight: float, max_bytes: int
    ) -> None:
        self.presence = presence
        self.membership = membership
        self.epsilon = epsilon
        self.prior_weight = prior_weight
        self.max_bytes = max_bytes

    def blocks(
        self, activations: Tensor, width: int, over_processes: Callable[[Tensor], Tensor] = identity
    ) -> Iterator[tuple[slice, Tensor]]:
        """Yield ranges of concepts and their scores; see `Scorer.blocks`."""
        return self.digest_blocks(self.digest(activations), width, over_processes)

    def digest(self, activations: Tensor) -> Tensor:
        """Return the rows of each neuron's top images, -1 for constant and non-finite neurons.

        See `DigestingScorer.digest`.
        """
        check_activations(activations, self.presence.concept_matrix)
        neurons = live_neurons(activations).nonzero().flatten()
        count = len(self.membership)
        digests = torch.full((activations.shape[1], count), -1, device=activations.device)
        return digests.index_copy_(0, neurons, top_rows(activations, count, self.max_bytes, neurons))

    def digest_blocks(
        self, digests: Tensor, width: int, over_processes: Callable[[Tensor], Tensor] = identity
    ) -> Iterator[tuple[slice, Tensor]]:
        """Yield ranges of concepts and their scores; see `DigestingScorer.digest_blocks`."""
        matrix = self.presence.concept_matrix
        neurons, others = (((digests[:, 0] >= 0) == live).nonzero().flatten() for live in (True, False))
        images, rows = torch.unique(digests[neurons], return_inverse=True)
        likelihoods = _Likelihoods(
            TopLikelihood(rows, self.membership, self.epsilon),
            images,
            self.presence.temperature,
            self.presence.normaliser[images],
            self.max_bytes,
        )
        for block, scores in score_blocks(matrix, len(digests), width):
            scores.index_fill_(0, others, torch.nan)
            sums = torch.full((scores.shape[1] + 1,), -torch.inf, dtype=torch.float64, device=scores.device)
            if len(neurons):
                sums[-1] = math.log(len(neurons))
                for part in self._panels(scores.shape[1]):
                    values = matrix.columns(slice(block.start + part.start, block.start + part.stop))
                    likelihoods.write(values, neurons, scores[:, part], sums[part])
            sums = over_processes(sums)
            yield block, scores.sub_(self.prior_weight * (sums[:-1] - sums[-1]))

    def _panels(self, concepts: int) -> Iterator[slice]:
        """Yield ranges of concepts whose similarities are made at once; all where they are there already."""
        matrix = self.presence.concept_matrix
        width = self.max_bytes // (matrix.shape[0] * matrix.image_factors.element_size())
        width = concepts if matrix.is_kept else max(1, width // LANES * LANES or width)
        for start in range(0, concepts, width):
            yield slice(start, min(start + width, concepts))


class _Likelihoods:
    """Writes log-likelihoods of the same top images under some concepts after others.

    Args:
        likelihood: Of the top images, as places among ``images``.
        images: Rows of the concept matrix that are in a top, shape ``(images,)``.
        temperature: Factor on similarities before the softmax.
        normaliser: Logarithm of the softmax's denominator of each image, shape ``(images, 1)``, float64.
        max_bytes: See `PointwiseMutualInformation`.

    """

    def __init__(
        self, likelihood: TopLikelihood, images: Tensor, temperature: float, normaliser: Tensor, max_bytes: int
    ) -> None:
        self._likelihood = likelihood
        self._images = images
        self._temperature = temperature
        self._normaliser = normaliser
        self._max_bytes = max_bytes
        self._rooms = Rooms(torch.float32)

    def write(self, values: Tensor, neurons: Tensor, scores: Tensor, sums: Tensor) -> None:
        """Write the log-likelihood of some concepts and the logarithms of its sums of exponentials over neurons.

        Args:
            values: Similarities to the concepts, shape ``(all images, concepts)``.
            neurons: Which rows of the scores the neurons are, shape ``(neurons,)``.
            scores: What is written in these rows, ``concepts`` columns.
            sums: What is written, shape ``(concepts,)``.

        """
        if runs_compiled(values):
            self._write_compiled(values, neurons, scores, sums)
            return
        tile = max(1, self._max_bytes // (8 * max(len(neurons), len(self._images))))
        for start in range(0, scores.shape[1], tile):
            part = slice(start, start + tile)
            logits = self._temperature * values[:, part][self._images].to(torch.float64) - self._normaliser
            found = self._likelihood.by_torch(logits.exp_())
            sums[part] = found.logsumexp(dim=0)
            scores[neurons, part] = found

    def _write_compiled(self, values: Tensor, neurons: Tensor, scores: Tensor, sums: Tensor) -> None:
        similarities, results, live = values.detach().numpy(), scores.numpy(), neurons.numpy()
        taken, offsets, totals = self._images.numpy(), self._normaliser.detach().flatten().numpy(), sums.numpy()
        shift, write = compiled(shifted_rows), compiled(write_rows)

        def fill(part: slice) -> None:
            tiles = range(part.start, part.stop, LANES)
            source, first = _readable(similarities, part)
            with self._rooms.one(len(tiles), len(taken), LANES) as room:
                logits = room.numpy()
                shift(source, taken, self._temperature, offsets, logits, first)
                for start, probability in zip(tiles, logits, strict=True):
                    columns = slice(start, min(start + LANES, part.stop))
                    found, total = self._likelihood.by_numba(np.exp(probability, out=probability))
                    totals[columns] = total[: columns.stop - start]
                    write(found, live, results[:, columns])

        at_once = max(1, min(TILES_AT_ONCE, self._max_bytes // (4 * LANES * len(taken))))
        run_in_threads(fill, scores.shape[1], even_width(scores.shape[1], LANES * at_once, LANES))


def _readable(values: Array, part: slice) -> tuple[Array, int]:
    """Return values that the compiled loop can read, which has no half precision, and where a part begins in them."""
    return (values[:, part].astype(np.float32), 0) if values.dtype == np.float16 else (values, part.start)


def write_rows(values: Array, rows: Array, written: Array) -> None:
    """Write ``written[rows] = values`` as NumPy does, in the dtype of what is written, only faster.

    Args:
        values: Shape ``(chosen, concepts)``; what ``written`` has no columns for is left out.
        rows: Shape ``(chosen,)``.
        written: Shape ``(neurons, concepts)``.

    """
    for place in range(len(rows)):
        row = rows[place]
        for concept in range(written.shape[1]):
            written[row, concept] = values[place, concept]


def shifted_rows(  # noqa: PLR0917
    values: Array, rows: Array, factor: float, offsets: Array, shifted: Array, first: int = 0
) -> None:
    """Write ``factor * values[rows] - offsets``, tile beside tile, and zeros in what is left of the last tile.

    Args:
        values: Shape ``(images, concepts)``.
        rows: Shape ``(chosen,)``.
        factor: Any number.
        offsets: Shape ``(chosen,)``.
        shifted: What is written, shape ``(tiles, chosen, concepts of a tile)``.
        first: Concept with which the first tile begins.

    """
    tiles, chosen, width = shifted.shape
    for place in range(chosen):
        row, offset = rows[place], offsets[place]
        for tile in range(tiles):
            start = first + tile * width
            known = min(width, values.shape[1] - start)
            source, target = values[row, start : start + known], shifted[tile, place]
            for concept in range(known):
                target[concept] = factor * source[concept] - offset
            target[known:] = 0.0
