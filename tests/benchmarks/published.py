"""Slow transcriptions of published similarities: float32, the softmax of the whole matrix, one neuron at a time."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Published:
    """WPMI and soft-WPMI of CLIP-Dissect, section 3.2.

    Args:
        scale: Factor on the concept matrix before the softmax.
        top_k: Images per neuron.
        prior_weight: Weight of the log-mean over neurons.
        membership: From the number of images to the probability that each belongs to the top.

    """

    scale: float
    top_k: int
    prior_weight: float
    membership: Callable[[int], Tensor]

    def probability(self, concept_matrix: Tensor) -> Tensor:
        """Return the softmax over concepts, shape ``(images, concepts)``."""
        return torch.softmax(self.scale * concept_matrix, dim=1)

    def relative(self, activations: Tensor, probability: Tensor) -> Tensor:
        """Return the scores of the given neurons, shape ``(neurons, concepts)``."""
        likelihood = torch.stack([self._likelihood(column, probability) for column in activations.T])
        return likelihood - self.prior_weight * (likelihood.logsumexp(dim=0) - math.log(len(likelihood)))

    def _likelihood(self, activation: Tensor, probability: Tensor) -> Tensor:
        rows = activation.topk(self.top_k).indices
        return (1 + self.membership(self.top_k)[:, None] * (probability[rows] - 1) + 1e-7).log().sum(dim=0)


SOFT_WPMI = Published(10.0, 100, 1.0, lambda count: 0.998 - (0.998 - 0.97) * torch.arange(count) / count)
WPMI = Published(2.0, 28, 0.6, torch.ones)
