"""What is above and below a concept, by the hierarchy of a vocabulary."""

from lightning_dissect.fingerprint import fingerprint
from lightning_dissect.probe import ConceptHierarchy, ConceptVocabulary
from lightning_dissect.refine.concept_names import canonical


class Kinds:
    """The superclasses of concepts and their kinds; none of either where a vocabulary has no hierarchy.

    Superclasses that take in more than half of the concepts say next to nothing and are left out.

    Args:
        vocabulary: The concepts, with what is above them.

    Attributes:
        names: The concepts, then the superclasses.

    Example:
        >>> kinds = Kinds(ConceptVocabulary(("beagle", "husky", "tabby", "car"), hierarchy={
        ...     "beagle": ("dog", "animal"), "husky": ("dog", "animal"), "tabby": ("animal",)}))
        >>> kinds.names
        ('beagle', 'husky', 'tabby', 'car', 'dog')
        >>> kinds.below("Dogs"), kinds.above("beagle"), kinds.above("pizza")
        (('beagle', 'husky'), ('dog',), ())

    """

    def __init__(self, vocabulary: ConceptVocabulary) -> None:
        self._tree = _tree(vocabulary)
        self._places: dict[str, int] = {}
        superclasses: list[str] = []
        if self._tree is not None:
            for place, name in enumerate(self._tree.names):
                if self._is_telling(place):
                    self._places.setdefault(canonical(name), place)
                    superclasses += [name] if place >= len(vocabulary) else []
        self.names = (*vocabulary.concepts, *superclasses)

    def below(self, name: str) -> tuple[str, ...]:
        """Return the concepts that are kinds of something.

        Args:
            name: Its name, in any form.

        """
        place = self._place(name)
        if self._tree is None or place < 0:
            return ()
        return tuple(self._tree.names[member] for member in self._tree.members[place] if member != place)

    def above(self, name: str) -> tuple[str, ...]:
        """Return the superclasses of something, nearest first.

        Args:
            name: Its name, in any form.

        """
        found: list[str] = []
        place = self._place(name)
        while self._tree is not None and place >= 0:
            place = self._tree.parents[place]
            found += [self._tree.names[place]] if self._is_telling(place) else []
        return tuple(found)

    def fingerprint(self) -> str:
        """Return a key of what is below which name."""
        members = () if self._tree is None else map(str, self._tree.members)
        return fingerprint(self.names, list(members))

    def _place(self, name: str) -> int:
        return self._places.get(canonical(name), -1) if self._places else -1

    def _is_telling(self, place: int) -> bool:
        tree = self._tree
        return tree is not None and place >= 0 and 2 * len(tree.members[place]) <= tree.num_concepts


def _tree(vocabulary: ConceptVocabulary) -> ConceptHierarchy | None:
    """Return the hierarchy of a vocabulary, ``None`` if it says nothing of its concepts."""
    known = {name.casefold() for name, line in (vocabulary.hierarchy or {}).items() if line}
    return None if known.isdisjoint(map(str.casefold, vocabulary.concepts)) else ConceptHierarchy.of(vocabulary)
