"""Labels as text within a prompt: data that can neither end a turn nor stand for an image."""

import re
import unicodedata
from collections.abc import Iterable

MOST_CHARACTERS = 400
"""Characters of a label that a judge reads; 400 of any script fit the shortest context, 512 tokens, with a prompt."""

UNPRINTABLE = frozenset({"Cc", "Cf", "Cs"})
"""Unicode categories of what has no glyph: controls, formats and halves of surrogate pairs."""


def plain_label(label: str, reserved: Iterable[str] = ()) -> str:
    r"""Return a label as one line of text that means nothing to a tokeniser but itself.

    White space is collapsed, characters without a glyph are left out, double quotes become single ones, so that a
    prompt can quote the label, and what a model reserves for itself loses its first character.

    Args:
        label: Any text.
        reserved: Texts that a tokeniser or processor gives a meaning, such as ``"<image>"`` or ``"</s>"``, in any case.

    Returns:
        At most `MOST_CHARACTERS` characters.

    Example:
        >>> plain_label('a "cat"\n')
        "a 'cat'"
        >>> plain_label("an <image> of a cat", reserved=["<image>"])
        'an image> of a cat'

    """
    line = "".join(character for character in _collapsed(label) if unicodedata.category(character) not in UNPRINTABLE)
    line = _collapsed(line.replace('"', "'")[:MOST_CHARACTERS])
    marks = sorted(filter(None, {mark.strip() for mark in reserved}), key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, marks)), flags=re.IGNORECASE)
    while marks and (match := pattern.search(line)):
        line = _collapsed(line.replace(match.group(), match.group()[1:]))
    return line


def _collapsed(text: str) -> str:
    return " ".join(text.split())
