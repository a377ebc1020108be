"""When two names are names of the same concept."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from lightning_dissect.refine.singular import singular

_ARTICLES = frozenset({"a", "an", "the", "some"})
_JOINING = frozenset({"and", "at", "by", "for", "from", "in", "of", "on", "or", "to", "under", "with"})
_KINDS = "alternative|example|form|image|kind|photo|photograph|picture|sort|type|variant|variation|variety|version"
_KIND_OF = re.compile(rf"^(?:{_KINDS})s? (?:of|to) (?=\w)")
_KIND_BEHIND = re.compile(r"(?<=\w) (?:alternative|like|type|variant|variation|version)s?$")
_ALONE = frozenset({"arms", "customs", "glasses", "goods", "irons", "woods"})
_AND = re.compile(r"\s+(?:and|&)\s+", re.IGNORECASE)
_ACCENTS = re.compile("[\u0300-\u036f]")


def canonical(concept: str) -> str:
    """Return the one form of all names of a concept, to compare by.

    Without a difference are: case, accents, white space, punctuation and hyphens; an article; singular and plural; the
    order of what *and* joins; and words that make no new concept of one: *X variant*, *type of X*, *photo of X*,
    *X-like* are *X*.

    Args:
        concept: Any text.

    Returns:
        Words in lower case with spaces between; the text itself, in lower case, if it holds no letter or digit.

    Example:
        >>> [canonical(text) for text in ("The  Polar-Bears", "a type of dog variant", "Ball and a dog", "glasses")]
        ['polar bear', 'dog', 'ball and dog', 'glasses']
        >>> canonical("dogs and balls") == canonical("ball & dog")
        True

    """
    before, now = "", concept
    while now != before:
        before, now = now, _simpler(now)
    return now


def joined(concept: str) -> tuple[str, ...]:
    """Return what *and* joins in a concept; the concept itself where it joins nothing.

    Args:
        concept: Any text.

    Example:
        >>> joined("dog and ball"), joined("sand dune")
        (('dog', 'ball'), ('sand dune',))

    """
    return tuple(_AND.split(concept))


class KnownConcepts:
    """Concepts that came before, under whatever name.

    Args:
        concepts: Those that are known from the start.

    Example:
        >>> known = KnownConcepts(["polar bear"])
        >>> "Polar bears" in known, "bear" in known
        (True, False)
        >>> known.add("a kind of bear")
        >>> "bear" in known, len(known)
        (True, 2)

    """

    def __init__(self, concepts: Iterable[str] = ()) -> None:
        self._forms = dict.fromkeys(map(canonical, concepts))

    def add(self, concept: str) -> None:
        """Take note of a concept.

        Args:
            concept: Any name of it.

        """
        self._forms[canonical(concept)] = None

    def __contains__(self, concept: object) -> bool:
        return isinstance(concept, str) and canonical(concept) in self._forms

    def __iter__(self) -> Iterator[str]:
        return iter(self._forms)

    def __len__(self) -> int:
        return len(self._forms)


def is_repeat(concept: str, known: Iterable[str]) -> bool:
    """Return whether a concept is but another name of one that came before.

    Args:
        concept: The concept.
        known: Those that came before. Where it is asked often, `KnownConcepts` is faster.

    Example:
        >>> is_repeat("granny smith apple variant", ["Granny Smith apples"]), is_repeat("apple", ["pineapple"])
        (True, False)

    """
    return concept in (known if isinstance(known, KnownConcepts) else KnownConcepts(known))


def _simpler(text: str) -> str:
    """Return a text with less of what makes no difference."""
    plain = _ACCENTS.sub("", unicodedata.normalize("NFKD", text).casefold().replace("&", " and "))
    plain = re.sub(r"['\u2019]s\b", "", plain)
    words = re.sub(r"[\W_]+", " ", re.sub(r"['\u2019]", "", plain)).split()
    parts = [list(part) for joins, part in groupby(words, "and".__eq__) if not joins]
    if not parts:
        return " ".join(text.casefold().split())
    return " and ".join(sorted(set(map(_simpler_part, parts))))


def _simpler_part(words: Sequence[str]) -> str:
    """Return what stands on one side of *and* in the singular, without articles and words that say nothing."""
    last = len(words) - 1
    kept = [
        word
        for place, word in enumerate(words)
        if place == last or word not in _ARTICLES or (place and words[place - 1] not in _JOINING)
    ]
    if len(kept) > 1 or kept[0] not in _ALONE:
        kept = [singular(word) for word in kept]
    return _KIND_BEHIND.sub("", _KIND_OF.sub("", " ".join(kept), count=1))
