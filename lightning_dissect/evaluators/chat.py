"""Chat models that look at images: LLaVA, SmolVLM, Qwen-VL and their kin."""

import inspect
from collections.abc import Sequence
from typing import Any

from PIL import Image
from torch import Tensor

from lightning_dissect.evaluators.answer_tokens import AnswerTokens
from lightning_dissect.evaluators.image_text_model import ImageTextModel


class ChatAnswering(ImageTextModel):
    """A decoder-only model that is asked through its own chat template, one image and one question per conversation.

    Args:
        model: The model, in evaluation mode.
        processor: Its processor, with a chat template.

    Raises:
        RuntimeError:
            If there is no chat template, or the model is none that continues a text.

    """

    model_class = "AutoModelForImageTextToText"
    frame = "{question} Answer yes or no."
    padding_side = "left"

    def __init__(self, model: Any, processor: Any) -> None:  # noqa: ANN401 - transformers has no common types
        super().__init__(model, processor)
        if not (getattr(processor, "chat_template", None) or getattr(self.tokenizer, "chat_template", None)):
            raise RuntimeError(
                f"Expected `model` to have a chat template but the processor of {type(model).__name__} has none. "
                "Choose a model that was tuned to follow instructions."
            )
        if model.config.is_encoder_decoder:
            raise RuntimeError(f"Expected `model` to be decoder-only but got {type(model).__name__}.")
        self.answers = AnswerTokens.of(self.tokenizer)
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        takes = inspect.signature(model.forward).parameters
        self.options: dict[str, Any] = {"logits_to_keep": 1} if "logits_to_keep" in takes else {}

    def see(self, images: list[Image.Image]) -> Sequence[Image.Image]:
        """See `ImageTextModel.see`: the images themselves, since processors decide on image and text together."""
        return images

    def log_odds(self, seen: Sequence[Image.Image], texts: list[str]) -> Tensor:
        """See `ImageTextModel.log_odds`."""
        prompts: list[str] = self.processor.apply_chat_template(
            [[{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": text}]}] for text in texts],
            add_generation_prompt=True,
            tokenize=False,
        )
        begun = bool(self.tokenizer.bos_token) and prompts[0].startswith(self.tokenizer.bos_token)
        inputs = self.processor(
            text=prompts,
            images=[[image] for image in seen],
            padding=True,
            return_tensors="pt",
            **({"add_special_tokens": False} if begun else {}),
        )
        logits = self.model(**inputs.to(self.device, self.model.dtype), **self.options).logits
        return self.answers.log_odds(logits[:, -1]).cpu()
