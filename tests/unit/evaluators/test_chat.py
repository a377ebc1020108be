from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from lightning_dissect.evaluators import Questions, VisualQuestionAnswering
from lightning_dissect.evaluators.answer_tokens import AnswerTokens
from lightning_dissect.evaluators.chat import ChatAnswering
from tests.helpers import tiny_vlm

NAMES = ["llava", "qwen-vl", "smolvlm"]


@pytest.mark.parametrize("name", NAMES)
def test_yes_is_as_likely_as_generate_says(
    name: str, tiny: Callable[[str], str], ask: Callable[..., Questions]
) -> None:
    folder, questions = tiny(name), ask(num_images=2)
    model = AutoModelForImageTextToText.from_pretrained(folder).eval()
    processor = AutoProcessor.from_pretrained(folder)
    tokens = AnswerTokens.of(processor.tokenizer)
    scores = VisualQuestionAnswering(folder, batch_size=5).answer(questions).scores
    for row, place, score in zip(questions.images, questions.label_of, scores, strict=True):
        picture = questions.evidence.pictures[row]
        if picture is not None:
            text = f'Is this image related to "{questions.labels[place]}"? Answer yes or no.'
            image = {"type": "image", "image": Image.fromarray(picture)}
            inputs = processor.apply_chat_template(
                [{"role": "user", "content": [image, {"type": "text", "text": text}]}],
                add_generation_prompt=True,
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
            )
            first = model.generate(**inputs, max_new_tokens=1, output_logits=True, return_dict_in_generate=True)
            chances = first.logits[0][0].double().softmax(dim=0)
            yes, no = chances[list(tokens.yes)].sum(), chances[list(tokens.no)].sum()
            assert score.item() == pytest.approx((yes / (yes + no)).item(), abs=1e-5)


def test_a_template_that_begins_the_text_is_not_begun_twice(tmp_path: Path, ask: Callable[..., Questions]) -> None:
    begun = VisualQuestionAnswering(str(tiny_vlm.llava(tmp_path, "<s>" + tiny_vlm.CHAT_TEMPLATE)))
    scores = begun.answer(ask()).scores
    begun._loaded.tokenizer._tokenizer.post_processor = tiny_vlm.tokenizer(first="<s>")._tokenizer.post_processor
    torch.testing.assert_close(begun.answer(ask()).scores, scores, equal_nan=True)


def test_a_model_without_a_chat_template_is_an_error(tmp_path: Path, ask: Callable[..., Questions]) -> None:
    plain = VisualQuestionAnswering(str(tiny_vlm.llava(tmp_path, chat_template=None)))
    with pytest.raises(RuntimeError, match=r"have a chat template .* tuned to follow instructions"):
        plain.answer(ask())


def test_a_model_that_does_not_continue_a_text_is_an_error(tiny: Callable[[str], str]) -> None:
    folder = tiny("llava")
    model, processor = AutoModelForImageTextToText.from_pretrained(folder), AutoProcessor.from_pretrained(folder)
    model.config.is_encoder_decoder = True
    with pytest.raises(RuntimeError, match="decoder-only but got LlavaForConditionalGeneration"):
        ChatAnswering(model, processor)


def test_where_nothing_is_for_padding_the_end_is_used(tiny: Callable[[str], str]) -> None:
    folder = tiny("llava")
    model, processor = AutoModelForImageTextToText.from_pretrained(folder), AutoProcessor.from_pretrained(folder)
    processor.tokenizer.pad_token = None
    assert ChatAnswering(model, processor).tokenizer.pad_token == processor.tokenizer.eos_token
