"""Whitened correlation: the similarity that labels every neuron on its own."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_dissect.checks import check_positive
from lightning_dissect.concept_matrix import ConceptMatrix
from lightning_dissect.similarity.base import SIMILARITIES, identity, score_all
from lightning_dissect.similarity.concept_blocks import check_activations, score_blocks
from lightning_dissect.similarity.concept_factors import in_factors
from lightning_dissect.similarity.cross_products import CrossProducts
from lightning_dissect.similarity.live import live_neurons
from lightning_dissect.similarity.principal_axes import along_axes, principal_axes

ROUNDING = 1e-12
"""A concept this much closer to the average one, relative to the longest there can be, does not differ from it."""


@SIMILARITIES.register("correlation")
@dataclass(frozen=True)
class Correlation:
    r"""Correlation of activations and concepts, after what all images vary in has been taken out of both.

    .. math::
        \text{score}(k, m) = \frac{a_k^\top W b_m}{\sqrt{a_k^\top W a_k \; b_m^\top W b_m}}, \qquad
        W = \left(I + \frac{N}{s \, \lVert B \rVert^2} B B^\top\right)^{-1}

    where :math:`a_k` are the centred activations and :math:`B` is the concept matrix with the means of its rows and
    columns taken out, so that an image counts by how much *more* it shows a concept than other concepts and than
    other images. :math:`W` damps the directions in which all concepts vary together, such as background, brightness
    or cut-out against full photo; without it these decide the labels of units that merely follow them. The score is
    the correlation of generalised least squares and, up to the norm of :math:`b_m`, the weight of a concept in a ridge
    regression of the neuron on all concepts at once.

    The label of a neuron does not depend on the other neurons of the call, the score lies in ``[-1, 1]`` and compares
    across layers and epochs of one probe and vocabulary. It does not change if activations or concept matrix are
    scaled or shifted, so no temperature is needed. Constant and non-finite neurons get NaN, as do concepts that the
    encoder does not tell from the average one.

    Args:
        shrinkage: Assumed ratio :math:`s` of noise to signal in a neuron, for which ridge regression would be the
            best linear predictor; 1 takes both as equal, infinity gives plain Pearson correlation with :math:`b_m`.
        max_rank: Most dimensions of the concept matrix that are told apart. Encoders with no more dimensions, probes
            with no more images and vocabularies with no more concepts are treated exactly, others by a random sketch.
        seed: Seed of the sketch.
        max_bytes: Most bytes that a float64 copy of some concepts may take.

    Raises:
        ValueError:
            If an argument is outside its range.

    Example:
        >>> concept_matrix = torch.eye(4)
        >>> Correlation().score(concept_matrix, concept_matrix).argmax(dim=1)
        tensor([0, 1, 2, 3])

    """

    shrinkage: float = 1.0
    max_rank: int = 1536
    seed: int = 0
    max_bytes: int = 2**24

    def __post_init__(self) -> None:
        for name in ("shrinkage", "max_rank", "max_bytes"):
            check_positive(name, getattr(self, name))

    def score(self, activations: Tensor, concept_matrix: Tensor) -> Tensor:
        """Score neurons against concepts; see `Similarity.score`."""
        return score_all(self.prepared(concept_matrix), activations)

    def prepared(self, concept_matrix: Tensor | ConceptMatrix) -> "WhitenedConcepts":
        """Whiten the concepts once for many layers; see `PreparableSimilarity.prepared`.

        The whitened concepts are kept, one float64 value per concept and dimension.
        """
        return WhitenedConcepts(self, ConceptMatrix.of(concept_matrix))


class WhitenedConcepts:
    r"""Concepts along the axes in which images vary, whitened: `Correlation` for one concept matrix.

    With the singular axes :math:`Q` of the image factors, :math:`B = Q Y` and
    :math:`C C^\top = I + \tfrac{N}{s \lVert Y \rVert^2} Y Y^\top`, the score is the cosine of :math:`C^{-1} Q^\top a_k`
    and :math:`C^{-1} y_m`, but that the part of :math:`a_k` outside :math:`Q` counts in its norm. :math:`Q^\top a_k`
    follows from the products of activations and image factors, so activations are read once.

    Args:
        settings: The similarity.
        concept_matrix: Image-text similarities, shape ``(images, concepts)``.

    Example:
        >>> scorer = WhitenedConcepts(Correlation(), ConceptMatrix.of(torch.eye(4)))
        >>> next(scorer.blocks(torch.eye(4), width=4))[1].argmax(dim=1)
        tensor([0, 1, 2, 3])

    """

    def __init__(self, settings: Correlation, concept_matrix: ConceptMatrix) -> None:
        self.settings = settings
        self.concept_matrix = concept_matrix
        factors = in_factors(concept_matrix, settings.max_rank, settings.seed, settings.max_bytes)
        self._factors, concepts = factors.image_factors, factors.concept_factors
        sums = CrossProducts.of(self._factors, self._factors, settings.max_bytes)
        directions, lengths = principal_axes(sums.products)
        self._towards = directions / lengths.where(lengths > 0, 1.0)
        average, blocks = concepts.mean(dim=0, dtype=torch.float64), settings.max_bytes
        self._concepts = sums.means.new_empty(len(concepts), len(lengths))
        for block, coordinates in along_axes(concepts, average, directions * lengths, blocks):
            self._concepts[block] = coordinates
        products = self._concepts.T @ self._concepts
        noise = settings.shrinkage * products.trace().where(products.trace() > 0, torch.inf)
        identity_matrix = torch.eye(len(products)).to(products)
        self._factor = torch.linalg.cholesky(products * (len(self._factors) / noise) + identity_matrix)
        longest = torch.linalg.vector_norm(concepts, dim=1, dtype=torch.float64).max()
        rounding = ROUNDING * sums.raw_energies().sum().sqrt() * longest
        for part in torch.split(self._concepts, max(1, blocks // (8 * len(lengths)))):
            part[torch.linalg.vector_norm(part, dim=1) <= rounding] = torch.nan
            white = torch.linalg.solve_triangular(self._factor, part.T, upper=False).T
            part.copy_(white / torch.linalg.vector_norm(white, dim=1, keepdim=True))

    def blocks(
        self,
        activations: Tensor,
        width: int,
        over_processes: Callable[[Tensor], Tensor] = identity,  # noqa: ARG002
    ) -> Iterator[tuple[slice, Tensor]]:
        """Yield ranges of concepts and their scores; see `Scorer.blocks`."""
        check_activations(activations, self.concept_matrix)
        sums = CrossProducts.of(activations, self._factors, self.settings.max_bytes)
        norms = sums.energies.sqrt().where(live_neurons(activations), torch.nan)
        along = self._towards.T @ (sums.products / norms)
        outside = 1 - along.square().sum(dim=0)
        neurons = torch.linalg.solve_triangular(self._factor, along, upper=False)
        neurons /= (neurons.square().sum(dim=0) + outside).sqrt()
        for block, scores in score_blocks(self.concept_matrix, activations.shape[1], width):
            yield block, torch.mm(neurons.T, self._concepts[block].T, out=scores)
