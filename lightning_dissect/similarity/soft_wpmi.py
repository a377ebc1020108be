"""Soft-WPMI, CLIP-Dissect's published default."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_dissect.checks import check_positive
from lightning_dissect.similarity.base import SIMILARITIES
from lightning_dissect.similarity.mutual_information import TopImageSimilarity


@SIMILARITIES.register("soft_wpmi")
@dataclass(frozen=True)
class SoftWPMI(TopImageSimilarity):
    r"""Soft-WPMI: pointwise mutual information in which an image belongs to a neuron's top with a probability.

    .. math::
        \text{score}(k, m) = L_{km} - \lambda \log \frac{1}{K} \sum_{k'} e^{L_{k'm}}, \qquad
        L_{km} = \sum_j \log\left(1 + p_j (q_{I_k(j) m} - 1) + \epsilon\right)

    where :math:`q` is the softmax over concepts of ``scale * concept_matrix``, :math:`I_k(j)` the image of rank
    :math:`j = 0, 1, \ldots` of neuron :math:`k` and :math:`p_j = p_0 - (p_0 - p_1) j / \text{top_k}`.

    It depends on the activations only through the order of the top images. The mean runs over the neurons of the same
    call, so a score says how much better a concept fits this neuron than the others beside it: labels change when
    neurons are added or dropped, scores are comparable only within one call, and a neuron alone gets 0 for every
    concept. With ``prior_weight=1`` the exponentials of the scores of a concept sum to the number of live neurons.
    Constant and non-finite neurons get NaN and are left out of the mean.

    Args:
        top_k: Most activating images per neuron that count. A probe with fewer images uses a tenth of them.
        scale: Factor :math:`a` on the concept matrix before the softmax over concepts.
        prior_weight: Weight :math:`\lambda` of the mean over neurons.
        first_membership: Probability :math:`p_0` that the most activating image belongs to the top.
        last_membership: Probability :math:`p_1` that ranks approach at ``top_k``.
        epsilon: Added to every factor, so that a probability of zero stays finite.
        max_bytes: Most bytes that an intermediate tensor may take; some MiB fit the cache and are fastest.

    Raises:
        ValueError:
            If an argument is outside its range.

    Example:
        >>> concept_matrix = torch.eye(4).repeat(3, 1)
        >>> SoftWPMI(top_k=3).score(concept_matrix, concept_matrix).argmax(dim=1)
        tensor([0, 1, 2, 3])

    References:
        Oikarinen and Weng, CLIP-Dissect, ICLR 2023, section 3.2. https://arxiv.org/abs/2204.10965

    """

    top_k: int = 100
    scale: float = 10.0
    prior_weight: float = 1.0
    first_membership: float = 0.998
    last_membership: float = 0.97
    epsilon: float = 1e-7
    max_bytes: int = 2**24

    def __post_init__(self) -> None:
        for name in ("top_k", "scale", "epsilon", "max_bytes"):
            check_positive(name, getattr(self, name))
        if not 0 < self.last_membership <= self.first_membership <= 1:
            raise ValueError(
                "Expected `last_membership` and `first_membership` to be ordered within (0, 1] "
                f"but got {self.last_membership} and {self.first_membership}."
            )

    def membership(self, count: int) -> Tensor:
        """See `TopImageSimilarity.membership`."""
        ranks = torch.arange(count, dtype=torch.float64) / count
        return self.first_membership - (self.first_membership - self.last_membership) * ranks
