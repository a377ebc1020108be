import open_clip
from open_clip import SimpleTokenizer

from lightning_dissect.encoders.tokenizer_content import tokenizer_content, vocabulary


def test_settings_and_vocabulary_show() -> None:
    short, long = SimpleTokenizer(context_length=8), SimpleTokenizer(context_length=9)
    assert len(vocabulary(short)) == 49408
    assert tokenizer_content(short, short) == tokenizer_content(SimpleTokenizer(context_length=8), short)
    assert tokenizer_content(short, short) != tokenizer_content(long, long)
    assert tokenizer_content(short, short)[0] == tokenizer_content(long, long)[0]


def test_the_tokeniser_inside_a_wrapper_is_found() -> None:
    class Wrapper:
        tokenizer = type("Inner", (), {"get_vocab": lambda self: {"a": 0}})()

    assert vocabulary(Wrapper()) == {"a": 0}
    assert vocabulary(open_clip) == {}
