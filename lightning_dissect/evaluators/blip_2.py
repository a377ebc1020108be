"""BLIP-2: queries that look at the image for a frozen language model, or for a matching head."""

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from lightning_dissect.evaluators.answer_tokens import AnswerTokens
from lightning_dissect.evaluators.image_text_model import ImageTextModel


class Blip2Answering(ImageTextModel):
    """BLIP-2 with a language model that continues the prompt (OPT) or answers it (T5).

    The queries see the image without the question, so they are computed once per image. Padding stands before the
    image: distances within a prompt stay what they are, and its last token is the one that the answer follows.

    References:
        Li et al., BLIP-2: bootstrapping language-image pre-training with frozen image encoders and large language
        models, ICML 2023. https://arxiv.org/abs/2301.12597

    """

    model_class = "Blip2ForConditionalGeneration"
    frame = "Question: {question} Answer:"

    def __init__(self, model: Any, processor: Any) -> None:  # noqa: ANN401 - transformers has no common types
        super().__init__(model, processor)
        self.answers = AnswerTokens.of(self.tokenizer)
        takes = inspect.signature(model.language_model.forward).parameters
        self.options: dict[str, Any] = {"logits_to_keep": 1} if "logits_to_keep" in takes else {}

    def see(self, images: list[Image.Image]) -> Sequence[Tensor]:
        """See `ImageTextModel.see`: the image as tokens of the language model."""
        patches = self.patches(images)
        queries = self.model.query_tokens.expand(len(images), -1, -1)
        found = self.model.qformer(query_embeds=queries, encoder_hidden_states=patches.to(queries.dtype))
        project = self.model.language_projection
        image_tokens: Tensor = project(found.last_hidden_state.to(project.weight.dtype))
        return image_tokens.unbind()

    def log_odds(self, seen: Sequence[Tensor], texts: list[str]) -> Tensor:
        """See `ImageTextModel.log_odds`."""
        ids, mask = self.tokens(texts)
        image_tokens = torch.stack(list(seen))
        words = self.model.get_input_embeddings()(ids)
        prompts = torch.cat([image_tokens.to(words.dtype), words], dim=1)
        mask = torch.cat([mask.new_ones(image_tokens.shape[:2]), mask], dim=1)
        padding_first = mask.argsort(dim=1, stable=True)
        logits = self.model.language_model(
            inputs_embeds=prompts.take_along_dim(padding_first[..., None], dim=1),
            attention_mask=mask.take_along_dim(padding_first, dim=1),
            **self._beginning(len(texts)),
            **self.options,
        ).logits
        return self.answers.log_odds(logits[:, -1]).cpu()

    def _beginning(self, count: int) -> dict[str, Tensor]:
        config = self.model.language_model.config
        if not config.is_encoder_decoder:
            return {}
        return {"decoder_input_ids": torch.full((count, 1), config.decoder_start_token_id, device=self.device)}


class Blip2Matching(ImageTextModel):
    """BLIP-2 with its image-text matching head: queries look at the text as well as at the image."""

    model_class = "Blip2ForImageTextRetrieval"

    def see(self, images: list[Image.Image]) -> Sequence[Tensor]:
        """See `ImageTextModel.see`."""
        return self.patches(images).unbind()

    def log_odds(self, seen: Sequence[Tensor], texts: list[str]) -> Tensor:
        """See `ImageTextModel.log_odds`: the matching head's second output over its first, averaged over queries."""
        ids, mask = self.tokens(texts)
        queries = self.model.query_tokens.expand(len(texts), -1, -1)
        states = self.model.qformer(
            query_embeds=self.model.embeddings(input_ids=ids, query_embeds=queries),
            query_length=queries.shape[1],
            attention_mask=torch.cat([mask.new_ones(queries.shape[:2]), mask], dim=1),
            encoder_hidden_states=torch.stack(list(seen)).to(queries.dtype),
        ).last_hidden_state[:, : queries.shape[1]]
        head = self.model.itm_head
        logits: Tensor = head(states.to(head.weight.dtype))
        return logits.float().mean(dim=1).cpu().diff(dim=1).squeeze(1)
