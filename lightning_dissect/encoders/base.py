"""Image-text encoders: what puts images and concepts into one space."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor

from lightning_dissect.registry import Registry


@runtime_checkable
class ImageTextEncoder(Protocol):
    """Embeds images and texts so that their cosine says how well they match.

    Example:
        >>> import torch
        >>> class Colours:
        ...     temperature = 1.0
        ...     def encode_images(self, images: Tensor) -> Tensor:
        ...         return torch.nn.functional.normalize(images.float().mean(dim=(2, 3)), dim=1)
        ...     def encode_texts(self, texts: Sequence[str]) -> Tensor:
        ...         return torch.eye(3)[[["red", "green", "blue"].index(text) for text in texts]]
        ...     def fingerprint(self) -> str:
        ...         return "colours-1"
        >>> encoder = Colours()
        >>> isinstance(encoder, ImageTextEncoder)
        True
        >>> green = torch.tensor([0, 255, 0], dtype=torch.uint8).view(1, 3, 1, 1)
        >>> encoder.encode_images(green) @ encoder.encode_texts(["red", "green"]).T
        tensor([[0., 1.]])

    """

    @property
    def temperature(self) -> float:
        """Factor that brings the cosines to the scale of CLIP ViT-B/16's; 1 for the CLIP family.

        The constants of the published similarity functions were chosen for that scale. A plain attribute will do.
        """
        ...

    def encode_images(self, images: Tensor) -> Tensor:
        """Embed images.

        Args:
            images: RGB images of any one size, shape ``(images, 3, height, width)``, uint8, on any device.

        Returns:
            Embeddings of norm 1, shape ``(images, dimensions)``, float32 on the CPU.

        """
        ...

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Embed texts.

        Args:
            texts: Concepts already put into their prompts.

        Returns:
            Embeddings of norm 1, shape ``(texts, dimensions)``, float32 on the CPU.

        """
        ...

    def fingerprint(self) -> str:
        """Return a key of weights and preprocessing: equal keys mean equal embeddings."""
        ...


def family_of(encoder: ImageTextEncoder) -> str:
    """Return the family of models that an encoder belongs to, so that it is no witness of its own labels.

    Args:
        encoder: An encoder; one of one's own may name its family in an attribute ``family``.

    Returns:
        ``"CLIP"`` for all encoders learnt from images and their texts; without a family the name of the class.

    """
    return getattr(encoder, "family", "") or type(encoder).__name__


ENCODERS: Registry[ImageTextEncoder] = Registry("encoder")

SIGMOID_TEMPERATURE = 1.15
"""Temperature of models trained with a sigmoid loss (SigLIP, SigLIP 2).

Released checkpoints learnt to multiply their cosines by 110 to 118 where CLIP multiplies by 100, so the cosines lie
closer together by about this factor where they say the same.
"""
