from collections.abc import Callable

import pytest

from lightning_dissect.evaluators import ImageTextMatching, Questions, VisualQuestionAnswering


@pytest.mark.parametrize(
    ("name", "marks"),
    [
        ("blip-2 opt", {"<image>", "<s>", "</s>"}),
        ("llava", {"<image>", "<|turn|>", "<|end|>"}),
        ("qwen-vl", {"<|image_pad|>", "<|video_pad|>", "<|vision_start|>"}),
        ("smolvlm", {"<image>", "<global-img>", "<end_of_utterance>"}),
    ],
)
def test_what_means_more_than_itself_is_reserved(
    name: str, marks: set[str], tiny: Callable[[str], str], ask: Callable[..., Questions]
) -> None:
    judge = VisualQuestionAnswering(tiny(name))
    judge.answer(ask())
    assert marks <= judge._loaded.reserved()


def test_words_are_not_reserved(tiny: Callable[[str], str], ask: Callable[..., Questions]) -> None:
    judge = VisualQuestionAnswering(tiny("llava"))
    judge.answer(ask())
    judge._loaded.tokenizer.add_tokens(["church"])
    judge._loaded.processor.odd_tag = "<odd>"
    assert "church" not in judge._loaded.reserved()
    assert "<odd>" in judge._loaded.reserved()


def test_texts_are_cut_where_the_tokenizer_ends(tiny: Callable[[str], str], ask: Callable[..., Questions]) -> None:
    judge = ImageTextMatching(tiny("blip"))
    judge.answer(ask())
    texts = ["cat " * 100, "cat"]
    assert judge._loaded.tokens(texts)[0].shape == (2, 402)
    judge._loaded.tokenizer.model_max_length = 64
    ids, mask = judge._loaded.tokens(texts)
    assert ids.shape == mask.shape == (2, 64)
    assert mask.sum(dim=1).tolist() == [64, 5]
