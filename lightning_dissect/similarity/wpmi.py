"""WPMI, the hard-membership forerunner of soft-WPMI."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_dissect.checks import check_positive
from lightning_dissect.similarity.base import SIMILARITIES
from lightning_dissect.similarity.mutual_information import TopImageSimilarity


@SIMILARITIES.register("wpmi")
@dataclass(frozen=True)
class WPMI(TopImageSimilarity):
    r"""WPMI: pointwise mutual information of a neuron's top images and a concept.

    .. math::
        \text{score}(k, m) = L_{km} - \lambda \log \frac{1}{K} \sum_{k'} e^{L_{k'm}}, \qquad
        L_{km} = \sum_{i \in I_k} \log(q_{im} + \epsilon)

    where :math:`q` is the softmax over concepts of ``scale * concept_matrix`` and :math:`I_k` holds the ``top_k`` most
    activating images of neuron :math:`k`. As for `SoftWPMI`, only the order of the top images counts and the mean runs
    over the neurons of the same call. Constant and non-finite neurons get NaN and are left out of the mean.

    Args:
        top_k: Most activating images per neuron that count. A probe with fewer images uses a tenth of them.
        scale: Factor :math:`a` on the concept matrix before the softmax over concepts.
        prior_weight: Weight :math:`\lambda` of the mean over neurons.
        epsilon: Added to every probability, so that zero stays finite.
        max_bytes: Most bytes that an intermediate tensor may take; some MiB fit the cache and are fastest.

    Raises:
        ValueError:
            If an argument is outside its range.

    Example:
        >>> concept_matrix = torch.eye(4).repeat(3, 1)
        >>> WPMI(top_k=3).score(concept_matrix, concept_matrix).argmax(dim=1)
        tensor([0, 1, 2, 3])

    References:
        Oikarinen and Weng, CLIP-Dissect, ICLR 2023, section 3.2. https://arxiv.org/abs/2204.10965

    """

    top_k: int = 28
    scale: float = 2.0
    prior_weight: float = 0.6
    epsilon: float = 1e-7
    max_bytes: int = 2**24

    def __post_init__(self) -> None:
        for name in ("top_k", "scale", "epsilon", "max_bytes"):
            check_positive(name, getattr(self, name))

    def membership(self, count: int) -> Tensor:
        """See `TopImageSimilarity.membership`."""
        return torch.ones(count, dtype=torch.float64)
