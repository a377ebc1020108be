"""How labels differ between two dissections."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lightning_dissect.array_archive import Array
from lightning_dissect.history.directions import unit_vectors
from lightning_dissect.history.numbering import Numbering
from lightning_dissect.history.rivals import rival_distances
from lightning_dissect.history.snapshot import Snapshot


@dataclass(frozen=True, eq=False)
class LabelChanges:
    """How the labels of the neurons that are in two dissections differ.

    A *reliable* label is one that is not withheld: the neuron is labelled or ambiguous. Only neurons with a reliable
    label in both dissections can change theirs.

    Args:
        rows_before: Rows of the neurons in the earlier snapshot, shape ``(matched,)``.
        rows_after: Rows of the same neurons in the later snapshot, same shape.
        reliable: Whether both labels are reliable, same shape, bool.
        renamed: Whether the best candidate differs, same shape, bool; false where a label is not reliable.
        held: Whether a concept that may be the best before may be the best after, same shape, bool; false where a label
            is not reliable.
        changed: Whether none can be, same shape, bool; false where a label is not reliable. Where more than half of
            the candidates that were kept may be the best, so may others that were not: then a label is neither held
            nor changed, unless one of the contenders is found again. Who is changed is renamed.
        distance: 1 minus the cosine of the embeddings of both labels, same shape; 0 for the same name, NaN where an
            embedding is not known or a label is not reliable.
        instability: Probability that two probes of other images disagree about the best candidate, the mean of both
            dissections, same shape; NaN where unknown.
        expected_distance: Distance to expect of the same weights on two probes of other images: ``instability`` times
            the distance between contenders after, see `rival_distances`, same shape; NaN where unknown.
        gained_concepts: Reliable labels of any neuron after which none had before, in the order of names.
        lost_concepts: Reliable labels of any neuron before which none has after, in the order of names.

    """

    rows_before: Array
    rows_after: Array
    reliable: Array
    renamed: Array
    held: Array
    changed: Array
    distance: Array
    instability: Array
    expected_distance: Array
    gained_concepts: tuple[str, ...]
    lost_concepts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows_after)

    @property
    def overlap(self) -> float:
        """Share of the neurons with a reliable label in both dissections whose label held, NaN if there is none."""
        return _mean(self.held[self.reliable])

    def shares(self, chosen: Array | None = None) -> dict[str, float]:
        """Return how many labels changed, beside what other images alone would have changed.

        Args:
            chosen: Which of the matched neurons count, bool, shape ``(matched,)``; by default all.

        Returns:
            Over the neurons with a reliable label in both dissections, NaN if there is none: ``churn``, the share that
            is renamed; ``churn_floor``, the mean of ``instability`` where it is known, the churn that the same
            weights would show at least on two probes of as many other images, which may propose other candidates too;
            ``changed_share``; ``semantic_churn``, the mean of ``distance``, NaN if one is unknown; and
            ``semantic_churn_floor``, the mean of ``expected_distance`` where it is known.

        """
        kept = self.reliable if chosen is None else self.reliable & chosen
        return {
            "churn": _mean(self.renamed[kept]),
            "churn_floor": _mean_of_known(self.instability[kept]),
            "changed_share": _mean(self.changed[kept]),
            "semantic_churn": _mean(self.distance[kept]),
            "semantic_churn_floor": _mean_of_known(self.expected_distance[kept]),
        }


def compare(
    before: Snapshot, after: Snapshot, embeddings: Mapping[str, Array], pairs: Array | None = None
) -> LabelChanges:
    """Compare the labels of two dissections.

    Args:
        before: The earlier dissection.
        after: The later one, of the same or of another run.
        embeddings: Direction of concepts, see `DissectionHistory.embeddings`.
        pairs: Rows of ``before`` and of ``after`` that are the same neuron, shape ``(matched, 2)``; by default those of
            the same layer and unit.

    Raises:
        ValueError:
            If ``pairs`` has another shape or names a row that is not there.

    Example:
        >>> from lightning_dissect.types import DissectionReport, LayerDissection, NeuronLabel, ScoredConcept
        >>> def snapshot(*labels):
        ...     concepts = [(ScoredConcept(label, 0.5, 0.4),) for label in labels]
        ...     neurons = tuple(NeuronLabel("fc", unit, "labelled", name) for unit, name in enumerate(concepts))
        ...     return Snapshot.of(DissectionReport(0, 0, 0, (LayerDissection("fc", neurons),), num_images=8))
        >>> directions = {"dog": np.array([1.0, 0.0]), "puppy": np.array([0.8, 0.6])}
        >>> changes = compare(snapshot("cat", "dog"), snapshot("cat", "puppy"), directions)
        >>> changes.renamed.tolist(), changes.distance.round(6).tolist(), changes.lost_concepts
        ([False, True], [0.0, 0.2], ('dog',))
        >>> changes.shares()["churn"]
        0.5

    """
    rows_before, rows_after = (same_neurons(before, after) if pairs is None else _checked(pairs, before, after)).T
    names_before, names_after = before.labels[rows_before], after.labels[rows_after]
    reliable = (names_before != "") & (names_after != "")
    renamed = reliable & (names_before != names_after)
    held = share_contenders(before, after, rows_before, rows_after)
    is_open = _is_open(before)[rows_before] | _is_open(after)[rows_after]
    instability = 1 - (before.trust["stability"][rows_before] + after.trust["stability"][rows_after]) / 2
    had, has = coverage(before), coverage(after)
    return LabelChanges(
        rows_before=rows_before,
        rows_after=rows_after,
        reliable=reliable,
        renamed=renamed,
        held=held,
        changed=reliable & ~held & ~is_open,
        distance=_distances(names_before, names_after, reliable, renamed, embeddings),
        instability=instability,
        expected_distance=np.where(instability == 0, 0.0, instability * rival_distances(after, embeddings)[rows_after]),
        gained_concepts=tuple(sorted(has - had)),
        lost_concepts=tuple(sorted(had - has)),
    )


def coverage(snapshot: Snapshot, rows: Array | None = None) -> set[str]:
    """Return the concepts that are the reliable label of a neuron.

    Args:
        snapshot: A dissection.
        rows: Rows of the neurons that count; by default all.

    """
    labels = snapshot.label if rows is None else snapshot.label[rows]
    return {snapshot.concepts[place] for place in np.unique(labels) if place >= 0}


def same_neurons(before: Snapshot, after: Snapshot) -> Array:
    """Return the rows of the neurons that are in two snapshots, by layer and unit.

    Args:
        before: A snapshot.
        after: Another.

    Returns:
        Rows of ``before`` and of ``after``, in the order of ``after``, shape ``(matched, 2)``.

    """
    if before.layers == after.layers and all(
        np.array_equal(getattr(before, name), getattr(after, name)) for name in ("layer", "unit")
    ):
        return np.arange(len(after)).repeat(2).reshape(-1, 2)
    known = {key: row for row, key in enumerate(before.keys())}
    found = [(known[key], row) for row, key in enumerate(after.keys()) if key in known]
    return np.array(found, np.intp).reshape(-1, 2)


def share_contenders(before: Snapshot, after: Snapshot, rows_before: Array, rows_after: Array) -> Array:
    """Return whether a concept that may be the best of a neuron in one snapshot may be it in another.

    Args:
        before: A snapshot.
        after: Another.
        rows_before: Rows of neurons in ``before``, shape ``(matched,)``.
        rows_after: Rows of the same neurons in ``after``, same shape.

    Returns:
        Shape ``(matched,)``, bool; false where a label is withheld or missing.

    """
    numbering = Numbering()
    old = numbering.contenders(before)[rows_before].T[:, None]
    new = numbering.contenders(after)[rows_after].T
    found: Array = ((old == new) & (old >= 0)).any(axis=(0, 1))
    return found


def _is_open(snapshot: Snapshot) -> Array:
    """Return whether more than half of several candidates may be the best, so that others may be it too."""
    is_there = snapshot.candidates >= 0
    several = is_there.sum(axis=1)
    contend: Array = (several > 1) & (2 * (snapshot.contenders & is_there).sum(axis=1) > several)
    return contend


def _checked(pairs: Array, before: Snapshot, after: Snapshot) -> Array:
    pairs = np.asarray(pairs)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or (pairs < 0).any() or (pairs >= (len(before), len(after))).any():
        raise ValueError(
            f"Expected `pairs` to hold rows of {len(before)} and of {len(after)} neurons, shape (matched, 2), but got "
            f"{pairs.tolist() if pairs.size < 9 else pairs.shape}."
        )
    return pairs.astype(np.intp)


def _distances(before: Array, after: Array, reliable: Array, renamed: Array, embeddings: Mapping[str, Array]) -> Array:
    distances = np.where(reliable, 0.0, np.nan)
    places = {name: place for place, name in enumerate(dict.fromkeys((*before[renamed], *after[renamed])))}
    directions = unit_vectors(list(places), embeddings)
    old, new = ([places[name] for name in names[renamed]] for names in (before, after))
    distances[renamed] = np.clip(1 - np.einsum("nd,nd->n", directions[old], directions[new]), 0, 2)
    return distances


def _mean(values: Array) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _mean_of_known(values: Array) -> float:
    return _mean(values[np.isfinite(values)])
