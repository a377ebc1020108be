import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from lightning_dissect.evaluators.answer_tokens import AnswerTokens
from tests.helpers.tiny_vlm import WORDS, tokenizer


def word_level(words: list[str]) -> PreTrainedTokenizerFast:
    unknown = "[U]"
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate([unknown, *words])}, unk_token=unknown))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=made, unk_token=unknown)


def test_all_spellings_are_found() -> None:
    words = tokenizer(first="<s>", last="</s>")
    tokens = AnswerTokens.of(words)
    spellings = [mark + word for mark in ("", "Ġ") for word in WORDS]
    ids = dict(zip(spellings, words.convert_tokens_to_ids(spellings), strict=True))
    assert tokens.yes == tuple(sorted(index for word, index in ids.items() if "y" in word.lower()))
    assert tokens.no == tuple(sorted(index for word, index in ids.items() if "n" in word.lower()))


def test_an_unknown_spelling_is_no_answer() -> None:
    tokens = AnswerTokens.of(word_level(["yes", "no", "No"]))
    assert tokens == AnswerTokens(yes=(1,), no=(2, 3))


def test_tokens_that_both_may_begin_with_do_not_count() -> None:
    def spelled(text: str, add_special_tokens: bool) -> dict[str, list[int]]:
        assert not add_special_tokens
        return {"input_ids": [ord(character) for character in text]}

    spelled.all_special_ids = [ord("Y")]
    assert AnswerTokens.of(spelled) == AnswerTokens(yes=(ord("y"),), no=(ord("N"), ord("n")))


@pytest.mark.parametrize("words", [[], ["yes", "Yes"], ["no"]])
def test_answers_that_cannot_be_told_apart_are_an_error(words: list[str]) -> None:
    with pytest.raises(RuntimeError, match=r"tell 'yes' from 'no' but got .* Choose another"):
        AnswerTokens.of(word_level(words))


def test_the_probability_is_that_of_yes_among_yes_and_no() -> None:
    logits = torch.randn(5, 40, generator=torch.Generator().manual_seed(0)).half() * 8
    tokens = AnswerTokens(yes=(3, 7, 8), no=(1, 20))
    chances = logits.double().softmax(dim=1)
    yes, no = chances[:, [3, 7, 8]].sum(dim=1), chances[:, [1, 20]].sum(dim=1)
    odds = tokens.log_odds(logits)
    assert odds.dtype == torch.float32
    torch.testing.assert_close(odds.sigmoid().double(), yes / (yes + no), atol=1e-6, rtol=0)
