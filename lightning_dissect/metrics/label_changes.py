"""How the sanity checks spoil a concept: labels go missing, or wrong ones are added."""

import hashlib
import math

import torch
from torch import Tensor


def label_generator(seed: int) -> torch.Generator:
    """Return the source of the draws of labels.

    Its draws are not those of torch's generator of the same seed: data that a caller drew from that one would decide
    which labels change.

    Args:
        seed: Any integer.

    Example:
        >>> plain = torch.rand(3, generator=torch.Generator().manual_seed(0))
        >>> torch.equal(torch.rand(3, generator=label_generator(0)), plain)
        False

    """
    digest = hashlib.sha256(f"labels {seed}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:6], "big"))


def missing_labels(concept_presence: Tensor, kept: float, generator: torch.Generator) -> Tensor:
    r"""Return presence after labels have gone missing: every entry stays with probability ``kept``, else it is zero.

    .. math::
        c^-_{im} = c_{im} \, u_{im}, \qquad u_{im} \sim \text{Bernoulli}(\text{kept})

    Args:
        concept_presence: Probability that a concept is in an image, shape ``(images, concepts)``.
        kept: Share of the labels that stays, 0.5 as published.
        generator: Source of the draws, on the CPU.

    Raises:
        ValueError:
            If ``kept`` is not between 0 and 1.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> round(missing_labels(torch.ones(10_000, 1), 0.5, generator).mean().item(), 1)
        0.5

    References:
        Oikarinen, Yan and Weng, Evaluating Neuron Explanations, ICML 2025. https://arxiv.org/abs/2506.05774

    """
    if not 0 < kept < 1:
        raise ValueError(f"Expected `kept` to be between 0 and 1 but got {kept}.")
    drawn = torch.rand(concept_presence.shape, generator=generator).to(concept_presence.device)
    return concept_presence * (drawn < kept)


def extra_labels(concept_presence: Tensor, growth: float, generator: torch.Generator) -> Tensor:
    r"""Return presence after wrong labels were added: about ``growth`` times as many as before.

    .. math::
        c^+_{im} = \min(1, c_{im} + u_{im}), \qquad
        u_{im} \sim \text{Bernoulli}\left(\frac{(\text{growth} - 1) \, n_m}{N - n_m}\right), \quad n_m = \sum_i c_{im}

    Where there is no room for as many labels the concept is everywhere.

    Args:
        concept_presence: Probability that a concept is in an image, shape ``(images, concepts)``.
        growth: Factor by which the number of labels grows, 2 as published.
        generator: Source of the draws, on the CPU.

    Raises:
        ValueError:
            If ``growth`` is not finite and greater than 1.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> rare = (torch.arange(10_000) < 1000).float()[:, None]
        >>> round(extra_labels(rare, 2.0, generator).mean().item(), 1)
        0.2

    References:
        Oikarinen, Yan and Weng, Evaluating Neuron Explanations, ICML 2025. https://arxiv.org/abs/2506.05774

    """
    if not 1 < growth < math.inf:
        raise ValueError(f"Expected `growth` to be finite and greater than 1 but got {growth}.")
    drawn = torch.rand(concept_presence.shape, generator=generator).to(concept_presence.device)
    labels = concept_presence.sum(dim=0, dtype=torch.float64)
    chance = (growth - 1) * labels / (len(concept_presence) - labels)
    return (concept_presence + (drawn < chance)).clamp(max=1)
