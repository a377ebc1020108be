"""Concepts and what is above them: superclasses, and which concepts each of them takes in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from lightning_dissect.probe.vocabulary import ConceptVocabulary


@dataclass(frozen=True)
class ConceptHierarchy:
    """The concepts of a vocabulary with the superclasses above them, as a tree.

    A superclass takes in the concepts that it is above, and itself if it is one of them. Only superclasses that say
    something new are there: of several that take in the same concepts the nearest, and none that takes in the same as
    a concept does. So every parent takes in more than its children.

    Args:
        names: The concepts in their order, then the superclasses.
        members: Concepts that each of them takes in, ascending; of a concept with nothing below it only itself.
        parents: Place of the nearest superclass of each, -1 where there is none.
        num_concepts: How many of the names are concepts.

    Example:
        >>> vocabulary = ConceptVocabulary(("beagle", "husky", "tabby"), hierarchy={
        ...     "beagle": ("hound", "dog", "animal"), "husky": ("dog", "animal"), "tabby": ("cat", "animal")})
        >>> hierarchy = ConceptHierarchy.of(vocabulary)
        >>> hierarchy.names, hierarchy.members
        (('beagle', 'husky', 'tabby', 'dog', 'animal'), ((0,), (1,), (2,), (0, 1), (0, 1, 2)))
        >>> [hierarchy.names[place] for place in hierarchy.children(hierarchy.place("animal"))]
        ['tabby', 'dog']

    """

    names: tuple[str, ...]
    members: tuple[tuple[int, ...], ...] = field(repr=False)
    parents: tuple[int, ...] = field(repr=False)
    num_concepts: int

    @classmethod
    def of(
        cls, vocabulary: ConceptVocabulary, hierarchy: Mapping[str, str | Sequence[str]] | None = None
    ) -> "ConceptHierarchy":
        """Return the tree above the concepts of a vocabulary.

        Names are the same without regard to case. Where one name stands for several things, as a crane does, all of
        them are one; give each a name of its own if that is not meant.

        Args:
            vocabulary: The concepts.
            hierarchy: What is above each name: its parent, or all ever more general names above it, nearest first; by
                default the vocabulary's own, such as `read_hypernyms` returns.

        Raises:
            ValueError:
                If there is no hierarchy, no concept has anything above it, or parents form a circle.

        """
        above = {name.casefold(): line for name, line in (hierarchy or vocabulary.hierarchy or {}).items()}
        lines = [_line(concept, above) for concept in vocabulary.concepts]
        if not any(lines):
            raise ValueError(
                f"Expected `hierarchy` to hold what is above the concepts of {vocabulary.name!r}, such as "
                f"{vocabulary.concepts[0]!r}, but got none of them. `read_hypernyms` reads it from WordNet's files."
            )
        return _tree(vocabulary.concepts, lines)

    def place(self, name: str) -> int:
        """Return the place of a concept or superclass.

        Args:
            name: Its name, in any case.

        Raises:
            ValueError:
                If it is not in the hierarchy.

        """
        if name.casefold() not in self._places:
            raise ValueError(f"Expected `name` to be in the hierarchy of {len(self.names)} names but got {name!r}.")
        return self._places[name.casefold()]

    def children(self, place: int) -> tuple[int, ...]:
        """Return what a concept or superclass is the parent of.

        Args:
            place: Its place.

        """
        return self._children[place]

    def siblings(self, place: int) -> tuple[int, ...]:
        """Return what has the same parent.

        Args:
            place: Place of a concept or superclass.

        """
        parent = self.parents[place]
        return () if parent < 0 else tuple(child for child in self._children[parent] if child != place)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name.casefold(): place for place, name in enumerate(self.names)}

    @cached_property
    def _children(self) -> tuple[tuple[int, ...], ...]:
        children: list[list[int]] = [[] for _ in self.names]
        for place, parent in enumerate(self.parents):
            if parent >= 0:
                children[parent].append(place)
        return tuple(map(tuple, children))


def _line(concept: str, above: Mapping[str, str | Sequence[str]]) -> tuple[str, ...]:
    """Return all names above a concept, nearest first."""
    found: list[str] = []
    nearest = above.get(concept.casefold(), ())
    while isinstance(nearest, str):
        if nearest.casefold() in {concept.casefold(), *map(str.casefold, found)}:
            raise ValueError(f"Expected `hierarchy` to lead upwards but got a circle: {[concept, *found, nearest]}.")
        found.append(nearest)
        nearest = above.get(nearest.casefold(), ())
    return (*found, *nearest)


def _tree(concepts: Sequence[str], lines: Sequence[Sequence[str]]) -> ConceptHierarchy:
    """Put the names above concepts together."""
    keys = [concept.casefold() for concept in concepts]
    spelt = dict(zip(keys, concepts, strict=True))
    above = {key: [name.casefold() for name in line] for key, line in zip(keys, lines, strict=True) if line}
    for line in lines:
        for height, name in enumerate(line):
            spelt.setdefault(name.casefold(), name)
            above.setdefault(name.casefold(), [higher.casefold() for higher in line[height + 1 :]])
    taken_in: dict[str, set[int]] = {key: {place} for place, key in enumerate(keys)}
    for place, key in enumerate(keys):
        for higher in above.get(key, ()):
            taken_in.setdefault(higher, set()).add(place)
    members = {key: frozenset(places) for key, places in taken_in.items()}
    nearest: dict[frozenset[int], str] = {}
    for key, places in members.items():
        nearest.setdefault(places, key)
    superclasses = [key for key in list(members)[len(keys) :] if nearest[members[key]] == key]
    kept = {key: place for place, key in enumerate(keys + superclasses)}

    def parent(key: str) -> int:
        larger = (nearest[members[higher]] for higher in above.get(key, ()) if members[higher] > members[key])
        return next((kept[higher] for higher in larger), -1)

    return ConceptHierarchy(
        names=tuple(spelt[key] for key in kept),
        members=tuple(tuple(sorted(members[key])) for key in kept),
        parents=tuple(map(parent, kept)),
        num_concepts=len(concepts),
    )
