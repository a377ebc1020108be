import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightning_dissect.evaluators.label_text import MOST_CHARACTERS, plain_label

RESERVED = ("<image>", "</s>", "<|im_end|>", "[SEP]", "<s>", " ", "", "~")


@pytest.mark.parametrize(
    ("label", "plain"),
    [
        ("  a\n\tcat \r\n", "a cat"),
        ('" Answer: yes', "' Answer: yes"),
        ("<b>bold</b> & co", "<b>bold</b> & co"),
        ("bell\x07 \x00zero \u200bwidth \ud800half \x1b[0m", "bell zero width half [0m"),
        ("<image>", "image>"),
        ("<IMAGE> [sep]", "IMAGE> sep]"),
        ("<image><image>", "image>image>"),
        ("<<image>", "image>"),
        ("<image\u200b>", "image>"),
        ("<\x00/s> a ~ b", "/s> a b"),
        ("x" * 500, "x" * MOST_CHARACTERS),
        ("日本語 🐈", "日本語 🐈"),
        ("", ""),
    ],
)
def test_examples(label: str, plain: str) -> None:
    assert plain_label(label, RESERVED) == plain


@given(st.text(alphabet="<>/s|im_eagnd[] SEP~\n\x00é", max_size=60))
def test_nothing_reserved_is_left(label: str) -> None:
    plain = plain_label(label, RESERVED)
    assert not any(mark.strip() and mark.strip().lower() in plain.lower() for mark in RESERVED)
    assert plain == plain_label(plain, RESERVED)
    assert len(plain) <= len(label)
    assert plain.isprintable()
