"""Loaded models that look at an image once and then at texts about it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from PIL import Image
from torch import Tensor

NO_LENGTH = 10**9
"""Tokenisers of transformers that know no longest text name a length beyond this."""


class ImageTextModel(ABC):
    """A model of transformers with its processor, reduced to what a judge needs: the log-odds of yes.

    What a text does not change is computed once per image, in `see`, and may be used with many texts.

    Args:
        model: The model, in evaluation mode.
        processor: Its processor, with a tokeniser and an image processor.

    """

    model_class: ClassVar[str]
    """Name of the class in transformers."""

    frame: ClassVar[str] = "{question}"
    """How the model was taught to be asked: a text around the question."""

    padding_side: ClassVar[Literal["left", "right"]] = "right"
    """Where texts are padded: on the left where a text's last token counts, on the right where its first one does."""

    def __init__(self, model: Any, processor: Any) -> None:  # noqa: ANN401 - transformers has no common types
        self.model = model
        self.processor = processor
        self.tokenizer = processor.tokenizer
        self.tokenizer.padding_side = self.padding_side

    @abstractmethod
    def see(self, images: list[Image.Image]) -> Sequence[Any]:
        """Return one item per image: all that `log_odds` needs to know of it.

        Args:
            images: RGB images of any sizes.

        """

    @abstractmethod
    def log_odds(self, seen: Sequence[Any], texts: list[str]) -> Tensor:
        """Return the logarithm of how much likelier yes is than no.

        Args:
            seen: An item of `see` for each text.
            texts: One line each, see `plain_label`.

        Returns:
            Shape ``(texts,)``, float32, on the CPU.

        """

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device  # type: ignore[no-any-return]

    def to(self, device: torch.device) -> None:
        """Move the model.

        Args:
            device: Where to.

        """
        self.model.to(device)

    def reserved(self) -> frozenset[str]:
        """Return the texts that tokeniser or processor give a meaning, such as ``"<image>"``; words are not among them.

        A processor looks for its own placeholders in the text, whether they are tokens or not.
        """
        added = {str(token) for token in self.tokenizer.get_added_vocab()} | set(self.tokenizer.all_special_tokens)
        named = {
            str(value)
            for name, value in vars(self.processor).items()
            if name.endswith(("_token", "_tag")) and value is not None
        }
        return frozenset(text for text in added | named if not text.strip().isalnum())

    def patches(self, images: list[Image.Image]) -> Tensor:
        """Return what the vision tower makes of images, shape ``(images, patches, features)``.

        Args:
            images: RGB images of any sizes.

        """
        tower = self.model.vision_model
        pixels = self.processor.image_processor(images, return_tensors="pt")["pixel_values"]
        patches: Tensor = tower(pixels.to(self.device, tower.dtype)).last_hidden_state
        return patches

    def tokens(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        """Return ids and attention mask of texts, each of shape ``(texts, tokens)``, on the model's device.

        Args:
            texts: Any texts; they are cut where the tokeniser knows a longest length.

        """
        longest = self.tokenizer.model_max_length
        encoded = self.tokenizer(texts, padding=True, truncation=longest < NO_LENGTH, return_tensors="pt")
        return encoded["input_ids"].to(self.device), encoded["attention_mask"].to(self.device)
