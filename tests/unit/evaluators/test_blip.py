from collections.abc import Callable

import pytest
import torch
from PIL import Image
from transformers import AutoProcessor, BlipForImageTextRetrieval, BlipForQuestionAnswering

from lightning_dissect.evaluators import ImageTextMatching, Questions, VisualQuestionAnswering
from lightning_dissect.evaluators.answer_tokens import AnswerTokens


def test_a_match_is_that_of_the_model(tiny: Callable[[str], str], ask: Callable[..., Questions]) -> None:
    folder, questions = tiny("blip"), ask(num_images=2)
    model, processor = BlipForImageTextRetrieval.from_pretrained(folder).eval(), AutoProcessor.from_pretrained(folder)
    scores = ImageTextMatching(folder, batch_size=5).answer(questions).scores
    for row, place, score in zip(questions.images, questions.label_of, scores, strict=True):
        picture = questions.evidence.pictures[row]
        if picture is not None:
            text = f"a photo of {questions.labels[place]}"
            inputs = processor(images=Image.fromarray(picture), text=text, return_tensors="pt")
            with torch.no_grad():
                expected = model(**inputs, use_itm_head=True).itm_score.softmax(dim=1)[0, 1]
            assert score.item() == pytest.approx(expected.item(), abs=1e-5)


def test_yes_is_as_likely_as_generate_says(tiny: Callable[[str], str], ask: Callable[..., Questions]) -> None:
    folder, questions = tiny("blip vqa"), ask(num_images=2)
    model, processor = BlipForQuestionAnswering.from_pretrained(folder).eval(), AutoProcessor.from_pretrained(folder)
    tokens = AnswerTokens.of(processor.tokenizer)
    scores = VisualQuestionAnswering(folder, batch_size=5).answer(questions).scores
    for row, place, score in zip(questions.images, questions.label_of, scores, strict=True):
        picture = questions.evidence.pictures[row]
        if picture is not None:
            text = f'Is this image related to "{questions.labels[place]}"?'
            inputs = processor(images=Image.fromarray(picture), text=text, return_tensors="pt")
            first = model.generate(**inputs, max_new_tokens=1, output_logits=True, return_dict_in_generate=True)
            chances = first.logits[0][0].double().softmax(dim=0)
            yes, no = chances[list(tokens.yes)].sum(), chances[list(tokens.no)].sum()
            assert score.item() == pytest.approx((yes / (yes + no)).item(), abs=1e-5)
