"""Whitened correlation: the similarity that labels every neuron on its own."""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from lightning_dissect.checks import check_positive, check_score_inputs
from lightning_dissect.similarity.base import SIMILARITIES, Scorer
from lightning_dissect.similarity.concept_space import ConceptSpace
from lightning_dissect.similarity.live import live_neurons
from lightning_dissect.standardise import standardised_columns


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
        check_score_inputs(activations, concept_matrix)
        return self.prepared(concept_matrix)(activations)

    def prepared(self, concept_matrix: Tensor) -> Scorer:
        """Whiten the concepts once for many layers; see `PreparableSimilarity.prepared`.

        The whitened concepts are kept, ``max_rank`` float64 values per concept at most.
        """
        space = ConceptSpace(concept_matrix, self.max_rank, self.seed, self.max_bytes)
        covariance = space.covariance() / self.shrinkage
        factor = torch.linalg.cholesky(covariance + torch.eye(len(covariance)).to(covariance))
        concepts = torch.linalg.solve_triangular(factor, space.coordinates, upper=False)
        concepts /= torch.linalg.vector_norm(concepts, dim=0)
        return partial(_score, concept_matrix, space, factor, concepts)


def _score(
    concept_matrix: Tensor, space: ConceptSpace, factor: Tensor, concepts: Tensor, activations: Tensor
) -> Tensor:
    check_score_inputs(activations, concept_matrix)
    live = live_neurons(activations)
    scores = concepts.new_full((activations.shape[1], concepts.shape[1]), torch.nan)
    if live.any():
        blocks = torch.split(activations[:, live], space.width, dim=1)
        along = torch.cat([space.project(standardised_columns(block)) for block in blocks], dim=1)
        outside = 1 - along.square().sum(dim=0)
        neurons = torch.linalg.solve_triangular(factor, along, upper=False)
        neurons /= (neurons.square().sum(dim=0) + outside).sqrt()
        if live.all():
            torch.mm(neurons.T, concepts, out=scores)
        else:
            scores[live] = neurons.T @ concepts
    return scores
