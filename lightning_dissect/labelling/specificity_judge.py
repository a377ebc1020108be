"""Whether labels are too specific or too generic, judged by all processes."""

import warnings
from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from lightning_dissect.labelling.hierarchy_presence import HierarchyPresence
from lightning_dissect.labelling.specificity import specificity_table
from lightning_dissect.labelling.specificity_table import SpecificityTable
from lightning_dissect.peers import Peers
from lightning_dissect.presence import PresenceSource
from lightning_dissect.probe import ConceptHierarchy, ConceptVocabulary
from lightning_dissect.types import LabelSpecificity, NeuronLabel


class SpecificityJudge:
    """Judges the labels of layer after layer, each process those of its share of the neurons.

    Where the vocabulary has no hierarchy it does nothing. The presence of superclasses is kept between layers and
    dissections as long as that of the concepts is the same.

    Args:
        vocabulary: The concepts that labels are chosen from.
        max_bytes: Most bytes that intermediate results may take, and again that superclasses may take to be kept.

    Raises:
        ValueError:
            If the vocabulary's hierarchy has nothing above any of its concepts.

    Example:
        >>> SpecificityJudge(ConceptVocabulary(("cat", "dog"))).hierarchy is None
        True

    """

    def __init__(self, vocabulary: ConceptVocabulary, max_bytes: int = 2**26) -> None:
        self.hierarchy = None if vocabulary.hierarchy is None else ConceptHierarchy.of(vocabulary)
        self.max_bytes = max_bytes
        self._presence: tuple[PresenceSource, HierarchyPresence] | None = None

    def judge(
        self, layer: str, activations: Tensor, labels: Tensor, presence: PresenceSource, peers: Peers
    ) -> tuple[LabelSpecificity, ...] | None:
        """Judge the labels of a layer. Every process must call it; a failure of one is a warning and no verdicts.

        Args:
            layer: Its name, for the warning.
            activations: Pooled activations of this process's share, shape ``(images, neurons)``.
            labels: Concept of each neuron of the share, shape ``(neurons,)``; -1 where there is none.
            presence: Presence of the concepts.
            peers: The processes.

        Returns:
            One record per neuron of the layer on rank 0, ``None`` elsewhere, after a failure and without a hierarchy.

        """
        if self.hierarchy is None:
            return None
        found = peers.gather(self._table(self.hierarchy, activations, labels, presence))
        failures = [table for table in found or () if isinstance(table, str)]
        if failures:
            warnings.warn(f"Nothing is known of how specific the labels of {layer!r} are. {failures[0]}", stacklevel=5)
        tables = [table for table in found or () if isinstance(table, SpecificityTable)]
        return SpecificityTable.cat(tables).records(self.hierarchy.names) if tables and not failures else None

    def _table(
        self, hierarchy: ConceptHierarchy, activations: Tensor, labels: Tensor, presence: PresenceSource
    ) -> SpecificityTable | str:
        """Return the verdicts on this process's share, or why there are none."""
        try:
            if self._presence is None or self._presence[0] is not presence:
                self._presence = presence, HierarchyPresence(presence, hierarchy, self.max_bytes)
            of_all = self._presence[1]
            return specificity_table(activations, labels.cpu(), of_all, hierarchy, max_bytes=self.max_bytes)
        except Exception as error:  # noqa: BLE001 - verdicts are not worth a dissection
            return f"{type(error).__name__}: {error}"


def with_specificity(
    neurons: Sequence[NeuronLabel], found: Sequence[LabelSpecificity] | None
) -> tuple[NeuronLabel, ...]:
    """Return neurons with what was found of their labels; those without a label stay as they are.

    Args:
        neurons: The neurons of a layer.
        found: One record per neuron, ``None`` if nothing is known.

    """
    if found is None:
        return tuple(neurons)
    pairs = zip(neurons, found, strict=True)
    return tuple(replace(neuron, specificity=record) if record.label else neuron for neuron, record in pairs)
