"""Sampling from a language model with a seed of its own."""

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class SeededSampling:
    r"""Turns scores of tokens so that the highest is a draw, without a look at the global random state.

    Of the tokens that remain after temperature and nucleus, with scores :math:`s_i`, the one with the highest
    :math:`s_i + g_i`, where :math:`g_i` are independent draws from Gumbel's distribution, is a draw from
    :math:`\text{softmax}(s)`. So the model may decode greedily, and its draws depend on nothing but the seed, where
    transformers would draw from the state that the user's training draws from. The numbers are drawn on the CPU, which
    gives the same ones for every device.

    Args:
        seed: The seed.
        temperature: Divides the scores; 0 leaves them as they are.
        top_p: The likeliest tokens whose probabilities reach it remain, and at least one.

    Example:
        >>> scores = torch.tensor([[2.0, 1.0, 0.0]])
        >>> SeededSampling(seed=0, temperature=0.0, top_p=1.0)(torch.empty(1, 0), scores).argmax().item()
        0
        >>> draws = [SeededSampling(seed, 1.0, 0.9)(torch.empty(1, 0), scores).argmax().item() for seed in range(100)]
        >>> sorted(set(draws))
        [0, 1]

    References:
        Gumbel, Statistical Theory of Extreme Values and Some Practical Applications, 1954.
        Holtzman et al., The Curious Case of Neural Text Degeneration, ICLR 2020. https://arxiv.org/abs/1904.09751

    """

    seed: int
    temperature: float
    top_p: float
    _generator: torch.Generator = field(default_factory=torch.Generator, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._generator.manual_seed(self.seed)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:  # noqa: ARG002 - a logits processor is given both
        """Return scores whose highest is the draw.

        Args:
            input_ids: Tokens so far, shape ``(texts, length)``; they are not looked at.
            scores: Scores of the next token, shape ``(texts, tokens)``.

        Returns:
            Shape ``(texts, tokens)``, float32; minus infinity outside the nucleus.

        """
        if self.temperature == 0:
            return scores.float()
        ordered, order = (scores.float() / self.temperature).sort(dim=-1, descending=True, stable=True)
        probabilities = ordered.softmax(dim=-1)
        is_outside = probabilities.cumsum(dim=-1) - probabilities >= self.top_p
        uniform = torch.rand(scores.shape, generator=self._generator, dtype=torch.float64)
        gumbel = -(-uniform.clamp_min(torch.finfo(torch.float64).tiny).log()).log()
        drawn = ordered.masked_fill(is_outside, -torch.inf) + gumbel.to(scores.device, torch.float32)
        return drawn.scatter(-1, order, drawn)
