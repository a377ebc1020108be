"""BLIP: a text encoder that looks at the image; asked whether a caption matches, or a question."""

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from lightning_dissect.evaluators.answer_tokens import AnswerTokens
from lightning_dissect.evaluators.image_text_model import ImageTextModel


class BlipMatching(ImageTextModel):
    """BLIP with its image-text matching head.

    References:
        Li et al., BLIP: bootstrapping language-image pre-training, ICML 2022. https://arxiv.org/abs/2201.12086

    """

    model_class = "BlipForImageTextRetrieval"

    def see(self, images: list[Image.Image]) -> Sequence[Tensor]:
        """See `ImageTextModel.see`."""
        return self.patches(images).unbind()

    def log_odds(self, seen: Sequence[Tensor], texts: list[str]) -> Tensor:
        """See `ImageTextModel.log_odds`: the matching head's second output over its first."""
        ids, mask = self.tokens(texts)
        states = self.model.text_encoder(ids, attention_mask=mask, encoder_hidden_states=torch.stack(list(seen)))
        logits: Tensor = self.model.itm_head(states.last_hidden_state[:, 0])
        return logits.float().cpu().diff(dim=1).squeeze(1)


class BlipAnswering(ImageTextModel):
    """BLIP for visual question answering: a decoder that reads what the text encoder makes of question and image."""

    model_class = "BlipForQuestionAnswering"

    def __init__(self, model: Any, processor: Any) -> None:  # noqa: ANN401 - transformers has no common types
        super().__init__(model, processor)
        self.answers = AnswerTokens.of(self.tokenizer)

    def see(self, images: list[Image.Image]) -> Sequence[Tensor]:
        """See `ImageTextModel.see`."""
        return self.patches(images).unbind()

    def log_odds(self, seen: Sequence[Tensor], texts: list[str]) -> Tensor:
        """See `ImageTextModel.log_odds`."""
        ids, mask = self.tokens(texts)
        questions = self.model.text_encoder(ids, attention_mask=mask, encoder_hidden_states=torch.stack(list(seen)))
        lengths, log_odds = mask.sum(dim=1), torch.empty(len(texts))
        # The decoder of transformers 5.23 loses the mask of the question on the way, so it gets no padding to mask.
        for length in sorted(set(lengths.tolist())):
            rows = (lengths == length).nonzero().squeeze(1)
            start = torch.full((len(rows), 1), self.model.decoder_start_token_id, device=self.device)
            words = questions.last_hidden_state[rows, :length]
            logits = self.model.text_decoder(start, encoder_hidden_states=words).logits
            log_odds[rows.cpu()] = self.answers.log_odds(logits[:, -1]).cpu()
        return log_odds
