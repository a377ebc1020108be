"""Concepts that stand in no list: two at once."""

from collections.abc import Iterator, Sequence
from itertools import combinations
from operator import itemgetter

from torch import Tensor

from lightning_dissect.refine.concept_names import canonical

_ATTRIBUTE_WORDS = """
    black blue brown gold golden gray green grey orange pink purple red silver turquoise violet white yellow
    bright colorful colourful dark pale transparent
    bumpy checkered cracked curly dotted fluffy furry glossy grooved hairy lined matte patterned plaid rough scaly
    shiny smooth spiky spotted striped swirly textured wavy woven wrinkled
    brick ceramic concrete cotton fabric glass knitted leather marble metal metallic paper plastic rusty stone velvet
    wooden woollen
    blurry broken dirty flat frozen long old open round sharp square tall thin wet
"""
_ATTRIBUTES = frozenset(_ATTRIBUTE_WORDS.split())
_MOST_WORDS = 3


def combine(one: str, other: str) -> str | None:
    """Return the concept of two at once: an attribute before its noun, all else joined by *and*.

    Args:
        one: A concept.
        other: Another.

    Returns:
        The two, or ``None`` if one of them is a combination already or a long text.

    Example:
        >>> combine("dog", "ball"), combine("car", "red"), combine("dog and ball", "cat")
        ('dog and ball', 'red car', None)

    """
    forms = canonical(one), canonical(other)
    if any("and" in form.split() or len(form.split()) > _MOST_WORDS for form in forms):
        return None
    is_attribute = [form in _ATTRIBUTES for form in forms]
    if is_attribute == [True, False]:
        return f"{one} {other}"
    return f"{other} {one}" if is_attribute == [False, True] else f"{one} and {other}"


def unlike_pairs(names: Sequence[str], alikeness: Tensor, most_alike: float = 0.3) -> Iterator[str]:
    """Yield combinations of names that have little to do with each other, those of the first names first.

    Args:
        names: Concepts, best first.
        alikeness: How alike they are, shape ``(names, names)``.
        most_alike: Likeness from which on two say the same.

    Example:
        >>> import torch
        >>> list(unlike_pairs(["dog", "puppy", "ball"], torch.tensor([[1, 0.8, 0], [0.8, 1, 0], [0, 0, 1]])))
        ['dog and ball', 'puppy and ball']

    """
    for one, other in sorted(combinations(range(len(names)), 2), key=itemgetter(1, 0)):
        joined = combine(names[one], names[other]) if alikeness[one, other] < most_alike else None
        if joined:
            yield joined
