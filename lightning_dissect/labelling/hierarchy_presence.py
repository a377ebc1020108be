"""Presence of concepts and of what is above them, from the presence of the concepts."""

from functools import cached_property

import torch
from torch import Tensor

from lightning_dissect.presence import ALL_IMAGES, PresenceSource, UnionPresence
from lightning_dissect.probe import ConceptHierarchy


class HierarchyPresence:
    """Presence of all names of a hierarchy: a superclass is as present as the most present concept that it takes in.

    The presence of the superclasses is computed once, at the first use, and kept if there is room for it.

    Args:
        source: Presence of the concepts.
        hierarchy: What is above them.
        max_bytes: Most bytes that the presence of all superclasses may take to be kept, and that the presence of some
            concepts may take while it is made.

    Raises:
        ValueError:
            If ``max_bytes`` is not positive or ``source`` lacks a concept.

    Example:
        >>> from lightning_dissect.presence import GivenPresence
        >>> from lightning_dissect.probe import ConceptVocabulary
        >>> hierarchy = ConceptHierarchy.of(ConceptVocabulary(("husky", "tabby")), {"husky": "pet", "tabby": "pet"})
        >>> presence = HierarchyPresence(GivenPresence(torch.tensor([[0.75, 0.5], [0.0, 0.25]])), hierarchy)
        >>> presence.columns(torch.tensor([hierarchy.place("pet")])).flatten().tolist()
        [0.75, 0.25]

    """

    def __init__(self, source: PresenceSource, hierarchy: ConceptHierarchy, max_bytes: int = 2**26) -> None:
        self.hierarchy = hierarchy
        self.shape = (source.shape[0], len(hierarchy.names))
        self._everything = UnionPresence(source, hierarchy.members, max_bytes=max_bytes)
        self._superclasses = [place for place, members in enumerate(hierarchy.members) if len(members) > 1]
        self._is_kept = 8 * self.shape[0] * len(self._superclasses) <= max_bytes

    def columns(self, concepts: slice | Tensor, images: slice | Tensor = ALL_IMAGES) -> Tensor:
        """Return the presence of some names; see `PresenceSource.columns`."""
        chosen = torch.arange(self.shape[1])[concepts if isinstance(concepts, slice) else concepts.cpu()]
        places = self._place_among_superclasses[chosen]
        if not self._is_kept or bool((places < 0).any()):
            return self._everything.columns(chosen, images)
        return self._kept[places.to(self._kept.device)].T[images].clone()

    @cached_property
    def _kept(self) -> Tensor:
        """Presence of the superclasses, shape ``(superclasses, images)``."""
        return self._everything.columns(torch.tensor(self._superclasses)).T.contiguous()

    @cached_property
    def _place_among_superclasses(self) -> Tensor:
        places = torch.full((self.shape[1],), -1)
        places[self._superclasses] = torch.arange(len(self._superclasses))
        return places
