"""Presence as pseudo-label: each concept by itself, by a sigmoid of its similarity with the image."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn

from lightning_dissect.checks import check_positive
from lightning_dissect.concept_matrix import ConceptMatrix
from lightning_dissect.presence.base import ALL_IMAGES


@dataclass(frozen=True)
class SigmoidConstants:
    r"""How an encoder's cosine becomes the probability that a concept is in an image.

    .. math:: p(i, m) = \sigma\bigl(\text{scale} \cdot (\cos(i, m) + \text{bias})\bigr)

    Where the cosine is minus the bias the probability is one half. No encoder knows the constants of another, and the
    right bias depends on how common the concepts are: `calibrate` finds both on labelled images.

    Args:
        scale: Factor on the shifted cosine.
        bias: What is added to the cosine.

    Raises:
        ValueError:
            If ``scale`` is not positive or one of the two is not finite.

    Example:
        >>> SigmoidConstants(scale=58.0, bias=-0.13).presence(torch.tensor([0.09, 0.13, 0.17])).round(decimals=4)
        tensor([0.0895, 0.5000, 0.9105], dtype=torch.float64)

    References:
        Oikarinen, Yan and Weng, Evaluating Neuron Explanations, ICML 2025. https://arxiv.org/abs/2506.05774

    """

    scale: float
    bias: float

    def __post_init__(self) -> None:
        check_positive("scale", self.scale)
        for name in ("scale", "bias"):
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"Expected `{name}` to be finite but got {getattr(self, name)}.")

    @classmethod
    def of_model(cls, model: nn.Module) -> "SigmoidConstants":
        r"""Return the constants that a model of the SigLIP family learnt: :math:`\sigma(e^t \cos + b)`.

        They were learnt with as many negative texts per image as a batch is large, so that presence comes out low;
        `calibrate` corrects that.

        Args:
            model: A model with the parameters ``logit_scale`` (:math:`t`) and ``logit_bias`` (:math:`b`), as open_clip
                and transformers name them; of an encoder of this package it is ``encoder.towers.model``.

        Raises:
            ValueError:
                If the model lacks one of them, as those trained with a softmax do.

        Example:
            >>> model = nn.Module()
            >>> model.logit_scale, model.logit_bias = torch.tensor(10.0).log(), torch.tensor(-2.0)
            >>> constants = SigmoidConstants.of_model(model)
            >>> round(constants.scale, 4), round(constants.bias, 4)
            (10.0, -0.2)

        References:
            Zhai et al., Sigmoid loss for language image pre-training, ICCV 2023, algorithm 1.
            https://arxiv.org/abs/2303.15343

        """
        found = [getattr(model, name, None) for name in ("logit_scale", "logit_bias")]
        learnt = [float(value.detach().double()) for value in found if isinstance(value, Tensor) and value.numel() == 1]
        if len(learnt) < len(found):
            raise ValueError(
                "Expected `model` to be of the SigLIP family, with one `logit_scale` and one `logit_bias`, but got a "
                f"{type(model).__name__} without. Find constants for it with `calibrate`."
            )
        scale = math.exp(learnt[0])
        return cls(scale, learnt[1] / scale)

    def logits(self, cosines: Tensor) -> Tensor:
        """Return the log-odds of presence.

        Args:
            cosines: Any shape, any floating dtype.

        Returns:
            The same shape, float64.

        """
        return cosines.to(torch.float64, copy=True).add_(self.bias).mul_(self.scale)

    def presence(self, cosines: Tensor) -> Tensor:
        """Return the probability of presence.

        Args:
            cosines: Any shape, any floating dtype.

        Returns:
            The same shape, float64.

        """
        return self.logits(cosines).sigmoid_()


_SO400M = SigmoidConstants(scale=58.0, bias=-0.13)
_LARGE = SigmoidConstants(scale=60.0, bias=-0.09)
_CLIP_LARGE = SigmoidConstants(scale=58.0, bias=-0.25)

SIGMOID_CONSTANTS: Mapping[str, SigmoidConstants] = MappingProxyType(
    {
        "open_clip:ViT-SO400M-14-SigLIP-384/webli": _SO400M,
        "hf_clip:google/siglip-so400m-patch14-384": _SO400M,
        "open_clip:ViT-L-16-SigLIP-384/webli": _LARGE,
        "hf_clip:google/siglip-large-patch16-384": _LARGE,
        "open_clip:ViT-L-14-336/openai": _CLIP_LARGE,
        "hf_clip:openai/clip-vit-large-patch14-336": _CLIP_LARGE,
    }
)
"""Published constants by encoder, as ``encoder`` is spelt elsewhere in this package.

The authors of NeuronEval fitted them to ImageNet's classes and superclasses, with bare names as prompts.
"""


class SigmoidPresence:
    """Sigmoid of an encoder's cosines, computed a few columns at a time.

    Unlike with a softmax, concepts do not compete: an image may hold several or none.

    Args:
        concept_matrix: Image-text similarities, shape ``(images, concepts)``, any floating dtype.
        constants: How a cosine becomes a probability.
        temperature: What the cosines were multiplied with to make the matrix, see `ImageTextEncoder.temperature`.

    Raises:
        ValueError:
            If ``temperature`` is not positive.

    Example:
        >>> presence = SigmoidPresence(torch.tensor([[0.13, 0.17], [0.09, 0.13]]), SigmoidConstants(58.0, -0.13))
        >>> presence.columns(torch.tensor([1])).round(decimals=4)
        tensor([[0.9105],
                [0.5000]], dtype=torch.float64)

    """

    def __init__(
        self, concept_matrix: Tensor | ConceptMatrix, constants: SigmoidConstants, temperature: float = 1.0
    ) -> None:
        check_positive("temperature", temperature)
        self.concept_matrix = ConceptMatrix.of(concept_matrix)
        self.constants = constants
        self.temperature = temperature

    @property
    def shape(self) -> tuple[int, int]:
        """Number of images and of concepts."""
        return self.concept_matrix.shape

    def columns(self, concepts: slice | Tensor, images: slice | Tensor = ALL_IMAGES) -> Tensor:
        """Return the presence of some concepts; see `PresenceSource.columns`."""
        similarities = self.concept_matrix.columns(concepts, images).to(torch.float64)
        return self.constants.presence(similarities / self.temperature)
