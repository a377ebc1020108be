"""Text from anywhere, made fit for one line."""

import unicodedata

JOINERS = "\u200c\u200d"
"""Format characters that belong to the spelling of words and emoji."""

BREAKS = frozenset({"Cc", "Zl", "Zp"})
"""Unicode categories of what parts words: controls, such as line feeds, and separators of lines and paragraphs."""


def one_line(text: str, most: int) -> str:
    r"""Return the beginning of a text as one line, with nothing in it that cannot be seen.

    White space and control characters become single spaces; formats, such as marks that turn the direction of writing,
    halves of surrogate pairs and characters without a meaning are left out. The form is Unicode's NFC.

    Args:
        text: Any text.
        most: Most characters that are kept.

    Example:
        >>> one_line("  a\tcat\x1b\n\u202eof  mine ", most=8)
        'a cat of'

    """
    spaced = (" " if unicodedata.category(character) in BREAKS else character for character in text)
    seen = "".join(
        character for character in spaced if character in JOINERS or not unicodedata.category(character).startswith("C")
    )
    return " ".join(unicodedata.normalize("NFC", seen).split())[:most].rstrip()
