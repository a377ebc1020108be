"""Image-text encoders: what puts images and concepts into one space."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor

from lightning_dissect.registry import Registry


@runtime_checkable
class ImageTextEncoder(Protocol):
    """Embeds images and texts so that their cosine says how well they match.

    ``temperature`` is the factor that brings this encoder's cosines to the scale of CLIP ViT-B/16's, for which the
    constants of the published similarity functions were chosen; it is 1 for the CLIP family.
    """

    temperature: float

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


ENCODERS: Registry[ImageTextEncoder] = Registry("encoder")
