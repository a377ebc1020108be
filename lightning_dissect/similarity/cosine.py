"""Cosine of activations and concept similarities."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_dissect.checks import check_positive
from lightning_dissect.concept_matrix import ConceptMatrix
from lightning_dissect.similarity.base import SIMILARITIES, identity, score_all
from lightning_dissect.similarity.concept_blocks import check_activations, score_blocks
from lightning_dissect.similarity.cross_products import CrossProducts
from lightning_dissect.similarity.inner_product import add_products, column_norms
from lightning_dissect.similarity.live import live_neurons
from lightning_dissect.similarity.principal_axes import along_axes, principal_axes


@SIMILARITIES.register("cosine")
@dataclass(frozen=True)
class Cosine:
    r"""Cosine over images of the activations and the concept matrix, neither of them centred.

    .. math:: \text{score}(k, m) = \frac{a_k^\top P_m}{\lVert a_k \rVert \, \lVert P_m \rVert}

    Independent of the other neurons in the call. A neuron with a large mean prefers concepts that
    are similar to every image. Constant and non-finite neurons and concepts that are zero everywhere get NaN.

    Args:
        max_bytes: Most bytes that a float64 copy of some concepts may take.

    Raises:
        ValueError:
            If ``max_bytes`` is not positive.

    Example:
        >>> concept_matrix = torch.eye(4)
        >>> Cosine().score(concept_matrix, concept_matrix).argmax(dim=1)
        tensor([0, 1, 2, 3])

    References:
        Oikarinen and Weng, CLIP-Dissect, ICLR 2023, section 3.2. https://arxiv.org/abs/2204.10965

    """

    max_bytes: int = 2**26

    def __post_init__(self) -> None:
        check_positive("max_bytes", self.max_bytes)

    def score(self, activations: Tensor, concept_matrix: Tensor) -> Tensor:
        """Score neurons against concepts; see `Similarity.score`."""
        return score_all(self.prepared(concept_matrix), activations)

    def prepared(self, concept_matrix: Tensor | ConceptMatrix) -> "FactoredCosine | WholeCosine":
        """Compute the norms of the concepts once for many layers; see `PreparableSimilarity.prepared`."""
        matrix = ConceptMatrix.of(concept_matrix)
        return (FactoredCosine if matrix.is_factored else WholeCosine)(matrix, self.max_bytes)


class FactoredCosine:
    """`Cosine` for a concept matrix in factors, by the products of activations and image factors.

    Args:
        concept_matrix: Image-text similarities in factors, shape ``(images, concepts)``.
        max_bytes: Most bytes that float64 copies may take.

    Example:
        >>> scorer = FactoredCosine(ConceptMatrix(torch.eye(3), torch.eye(3)[:2]), max_bytes=2**20)
        >>> next(scorer.blocks(torch.eye(3), width=2))[1].diagonal().round(decimals=9)
        tensor([1., 1.], dtype=torch.float64)

    """

    def __init__(self, concept_matrix: ConceptMatrix, max_bytes: int) -> None:
        self.concept_matrix = concept_matrix
        self.max_bytes = max_bytes
        factors, concepts = concept_matrix.image_factors, concept_matrix.concept_factors
        products = CrossProducts.of(factors, factors, max_bytes).raw_products()
        directions, lengths = principal_axes(products)
        parts = along_axes(concepts, torch.zeros_like(products[0]), directions * lengths, max_bytes)
        self._norms = torch.cat([torch.linalg.vector_norm(part, dim=1) for _, part in parts])

    def blocks(
        self,
        activations: Tensor,
        width: int,
        over_processes: Callable[[Tensor], Tensor] = identity,  # noqa: ARG002
    ) -> Iterator[tuple[slice, Tensor]]:
        """Yield ranges of concepts and their scores; see `Scorer.blocks`."""
        check_activations(activations, self.concept_matrix)
        sums = CrossProducts.of(activations, self.concept_matrix.image_factors, self.max_bytes)
        neurons = sums.raw_products() / sums.raw_energies().sqrt().where(live_neurons(activations), torch.nan)
        for block, scores in score_blocks(self.concept_matrix, activations.shape[1], width):
            concepts = self.concept_matrix.concept_factors[block] / self._norms[block, None]
            yield block, torch.mm(neurons.T, concepts.T, out=scores)


class WholeCosine:
    """`Cosine` for a concept matrix of which nothing but its values is known, by their products with activations.

    Args:
        concept_matrix: Similarities that are there already, shape ``(images, concepts)``.
        max_bytes: Most bytes that float64 copies may take.

    Example:
        >>> scorer = WholeCosine(ConceptMatrix.of(torch.eye(3)), max_bytes=2**20)
        >>> next(scorer.blocks(torch.eye(3), width=3))[1].diagonal().round(decimals=9)
        tensor([1., 1., 1.], dtype=torch.float64)

    """

    def __init__(self, concept_matrix: ConceptMatrix, max_bytes: int) -> None:
        self.concept_matrix = concept_matrix
        self.max_bytes = max_bytes
        self._norms = column_norms(concept_matrix.whole, max_bytes)

    def blocks(
        self,
        activations: Tensor,
        width: int,
        over_processes: Callable[[Tensor], Tensor] = identity,  # noqa: ARG002
    ) -> Iterator[tuple[slice, Tensor]]:
        """Yield ranges of concepts and their scores; see `Scorer.blocks`."""
        check_activations(activations, self.concept_matrix)
        norms = column_norms(activations, self.max_bytes).where(live_neurons(activations), torch.nan)
        for block, scores in score_blocks(self.concept_matrix, activations.shape[1], width):
            add_products(activations, self.concept_matrix.columns(block), scores.zero_(), self.max_bytes)
            yield block, scores.div_(norms[:, None]).div_(self._norms[block])
