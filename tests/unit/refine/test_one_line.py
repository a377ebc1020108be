import pytest

from lightning_dissect.refine.one_line import one_line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", ""),
        (" a\r\n\tb\x00c\x7f ", "a b c"),
        ("a\u2028b\u2029c\u00a0d", "a b c d"),
        ("zero\u200bwidth \u202eturned\u2066", "zerowidth turned"),
        ("\u0646\u0645\u06cc\u200c\u062e\u0648\u0627", "\u0646\u0645\u06cc\u200c\u062e\u0648\u0627"),
        ("cafe\u0301", "caf\u00e9"),
        ("half \ud800 a pair", "half a pair"),
        ("\ue000private", "private"),
    ],
)  # fmt: skip
def test_what_cannot_be_seen_is_left_out(text, line):
    assert one_line(text, 100) == line
    one_line(text, 100).encode()


def test_the_beginning_is_kept():
    assert one_line("ab  cd ef", 6) == "ab cd"
    assert len(one_line("x" * 10_000, 80)) == 80
