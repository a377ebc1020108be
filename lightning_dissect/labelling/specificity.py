"""On which side a label errs: too specific, too generic, or another of its kind."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lightning_dissect.checks import check_positive
from lightning_dissect.labelling.jackknife import ROUNDING, Array, JackknifedRows, student_quantile
from lightning_dissect.labelling.specificity_table import RELATIONS, VERDICTS, SpecificityTable
from lightning_dissect.presence import PresenceSource
from lightning_dissect.probe import ConceptHierarchy
from lightning_dissect.standardise import standardised_columns
from lightning_dissect.threads import run_in_threads
from lightning_dissect.types import LabelSpecificity, Relation, Specificity

_ERRS: dict[Relation, Specificity] = {"parent": "too specific", "child": "too generic", "sibling": "beside"}

_COPIES = 8
"""Arrays of the size of a block that are alive at once."""

_TILE = 32
"""Concepts whose presence is asked for at once."""


def label_specificity(
    activations: Tensor,
    labels: Sequence[str],
    presence: PresenceSource,
    hierarchy: ConceptHierarchy,
    *,
    confidence: float = 0.95,
    max_bytes: int = 2**26,
) -> tuple[LabelSpecificity, ...]:
    r"""Compare each neuron's label with its parent, its children and its siblings.

    What is compared is the Pearson correlation of the neuron with their presence. The interval of a difference comes
    from the jackknife over images, paired because both correlations leave out the same image:

    .. math::
        d \pm t_\nu \sqrt{\tfrac{n-1}{n} \sum_i \delta_i^2}, \qquad \delta_i = d_{(i)} - \bar d, \qquad
        \nu = \frac{\bigl(\sum_i \delta_i^2\bigr)^2}{\sum_i \delta_i^4}, \qquad
        r_{(i)} = \frac{r - \kappa x_i y_i}{\sqrt{(1 - \kappa x_i^2)(1 - \kappa y_i^2)}}, \quad \kappa = \frac{n}{n-1}

    with :math:`x, y` of mean zero and norm one, so that leaving out costs no second pass. The degrees of freedom
    :math:`\nu` count the images that matter: of a neuron that a few images make, the interval is wide, and with fewer
    than five there is none. The intervals of a neuron hold together: :math:`t_\nu` is the quantile for what
    ``confidence`` leaves, divided among its relatives (Bonferroni). A concept that is in one image only has no
    interval either, and a superclass of all images no correlation; neither decides anything.

    At the default, of neurons without a function one in twenty or fewer is judged where activations are spread over
    many images. With ten images per concept it is one in six of those that are zero in most images, and one in four
    where moreover few images dominate; with a hundred it is one in twenty-five and one in ten.

    Args:
        activations: Pooled activations, shape ``(images, neurons)``.
        labels: Label of each neuron, a name of the hierarchy; empty where there is none.
        presence: Presence of ``hierarchy.names``: from class indices by `annotation_presence`, from an encoder by
            `UnionPresence`, whose rule says what the presence of a parent is: by default the maximum over the concepts
            that it takes in.
        hierarchy: What is above and below each name.
        confidence: Probability that all intervals of a neuron hold.
        max_bytes: Most bytes that intermediate results may take, beside the activations and the presence of one
            label's relatives.

    Returns:
        One record per neuron; ``"undecided"`` where the neuron is constant or not finite or has no label.

    Raises:
        ValueError:
            If shapes do not fit, a label is not in the hierarchy or an argument is out of range.

    Example:
        >>> from lightning_dissect.probe import ConceptVocabulary, annotation_presence
        >>> vocabulary = ConceptVocabulary(("beagle", "husky", "tabby"))
        >>> hierarchy = ConceptHierarchy.of(vocabulary, {"beagle": "dog", "husky": "dog"})
        >>> classes = torch.arange(300) % 3
        >>> fires_for_dogs = (classes < 2) + 0.1 * torch.randn(300, generator=torch.Generator().manual_seed(0))
        >>> presence = annotation_presence(classes, vocabulary, hierarchy)
        >>> [found] = label_specificity(fires_for_dogs[:, None], ["beagle"], presence, hierarchy)
        >>> found.verdict, found.parent.name
        ('too specific', 'dog')

    References:
        Efron, The jackknife, the bootstrap and other resampling plans, SIAM 1982, chapter 3, for the standard error;
        Satterthwaite, An approximate distribution of estimates of variance components, Biometrics Bulletin 1946, for
        the degrees of freedom; Abramowitz and Stegun, Handbook of mathematical functions, 26.7.5, for the quantile.

    """
    check_positive("max_bytes", max_bytes)
    if not 0 < confidence < 1:
        raise ValueError(f"Expected `confidence` to be between 0 and 1 but got {confidence}.")
    if presence.shape[0] < 2:
        raise ValueError(f"Expected `presence` to be in at least 2 images but got {presence.shape[0]}.")
    expected = (presence.shape[0], len(labels))
    if tuple(activations.shape) != expected or presence.shape[1] != len(hierarchy.names):
        raise ValueError(
            f"Expected `activations` of shape {expected}, (images, labels), and `presence` of the "
            f"{len(hierarchy.names)} names of `hierarchy` but got shapes {tuple(activations.shape)} "
            f"and {presence.shape}."
        )
    places = torch.tensor([hierarchy.place(label) if label else -1 for label in labels], dtype=torch.int64)
    table = specificity_table(activations, places, presence, hierarchy, confidence=confidence, max_bytes=max_bytes)
    return table.records(hierarchy.names)


def specificity_table(
    activations: Tensor,
    labels: Tensor,
    presence: PresenceSource,
    hierarchy: ConceptHierarchy,
    *,
    confidence: float = 0.95,
    max_bytes: int = 2**26,
) -> SpecificityTable:
    """Do what `label_specificity` does, with places for names and tensors for records.

    What is found for a neuron does not depend on the other neurons of the call.

    Args:
        activations: Pooled activations, shape ``(images, neurons)``.
        labels: Place of each neuron's label in the hierarchy, shape ``(neurons,)``, int64; -1 where there is none.
        presence: Presence of ``hierarchy.names``.
        hierarchy: What is above and below each name.
        confidence: Probability that all intervals of a neuron hold.
        max_bytes: Most bytes that intermediate results may take.

    """
    table = SpecificityTable.undecided(labels)
    families = _Families(hierarchy, presence)
    for neurons, places in families.blocks(labels.tolist(), max(1, max_bytes // (8 * _COPIES * len(activations)))):
        judge = _Judge(table, families, places, families.rows(places), confidence)
        rows = activations.index_select(1, torch.tensor(neurons, device=activations.device)).T.contiguous()
        # Sums along a row, unlike those down a column, do not depend on how many there are.
        rows = standardised_columns(rows.T).T
        work = partial(judge.neurons, neurons, np.ascontiguousarray(rows.cpu().numpy()))
        run_in_threads(work, len(neurons), width=1)
    return table


class _Families:
    """What stands next to each label, and the presence of it."""

    def __init__(self, hierarchy: ConceptHierarchy, presence: PresenceSource) -> None:
        self.hierarchy = hierarchy
        self.presence = presence
        self._known: dict[int, tuple[list[int], Array]] = {}

    def of(self, place: int) -> tuple[list[int], Array]:
        """Return the places of a label's relatives and the indices of their relations in `RELATIONS`."""
        if place not in self._known:
            parent = self.hierarchy.parents[place]
            kin = ([parent] if parent >= 0 else [], self.hierarchy.children(place), self.hierarchy.siblings(place))
            relations = np.repeat(range(len(RELATIONS)), [len(places) for places in kin])
            self._known[place] = [relative for places in kin for relative in places], relations
        return self._known[place]

    def blocks(self, labels: Sequence[int], most: int) -> Iterator[tuple[list[int], list[int]]]:
        """Yield some neurons and the places of their labels and relatives, both at most so many if there is a choice.

        Labels of one parent follow each other, so that their relatives are looked at together.
        """
        neurons: list[int] = []
        places: set[int] = set()
        labelled = [neuron for neuron, label in enumerate(labels) if label >= 0]
        for neuron in sorted(labelled, key=lambda neuron: (self._order[labels[neuron]], neuron)):
            needed = {labels[neuron], *self.of(labels[neuron])[0]}
            if neurons and (len(neurons) >= most or len(places | needed) > most):
                yield neurons, sorted(places)
                neurons, places = [], set()
            neurons.append(neuron)
            places |= needed
        if neurons:
            yield neurons, sorted(places)

    def rows(self, places: Sequence[int]) -> JackknifedRows:
        """Return the presence of some places, each computed in the same company whatever else is asked for."""
        wanted = {place: row for row, place in enumerate(places)}
        columns = torch.empty(self.presence.shape[0], len(places), dtype=torch.float64)
        for tile in sorted({self._tile[place] for place in places}):
            inside = self._tiles[tile]
            found = standardised_columns(self.presence.columns(torch.tensor(inside))).cpu()
            chosen = [column for column, place in enumerate(inside) if place in wanted]
            columns[:, [wanted[inside[column]] for column in chosen]] = found[:, chosen]
        return JackknifedRows.of(columns)

    @cached_property
    def _order(self) -> list[int]:
        """Rank of each place where those of one parent follow each other."""
        places = sorted(range(len(self.hierarchy.names)), key=lambda place: (self.hierarchy.parents[place], place))
        return [int(rank) for rank in np.argsort(places)]

    @cached_property
    def _tiles(self) -> list[list[int]]:
        """Places that are computed together: superclasses each alone, because many concepts go into one."""
        places = np.argsort(self._order).tolist()
        concepts = [place for place in places if len(self.hierarchy.members[place]) == 1]
        superclasses = [[place] for place in places if len(self.hierarchy.members[place]) > 1]
        return [concepts[start : start + _TILE] for start in range(0, len(concepts), _TILE)] + superclasses

    @cached_property
    def _tile(self) -> dict[int, int]:
        return {place: tile for tile, places in enumerate(self._tiles) for place in places}


@dataclass(frozen=True)
class _Judge:
    """Fills in the table for some neurons whose relatives are known."""

    table: SpecificityTable
    families: _Families
    places: Sequence[int]
    rows: JackknifedRows
    confidence: float

    @cached_property
    def _row(self) -> dict[int, int]:
        return {place: row for row, place in enumerate(self.places)}

    def neurons(self, neurons: Sequence[int], activations: Array, which: slice) -> None:
        """Judge some neurons, whose activations are rows of mean zero and norm one."""
        labels = self.table.labels[torch.tensor(neurons[which])].tolist()
        for neuron, label, activation in zip(neurons[which], labels, activations[which], strict=True):
            relatives, relations = self.families.of(label)
            compared, own = self._compare(activation, label, relatives, relations)
            self.table.correlations[neuron] = own
            self.table.verdicts[neuron] = VERDICTS.index(_verdict(compared, relations))
            for relation in np.unique(relations):
                best = _best(compared, relations == relation)
                self.table.relatives[neuron, relation] = relatives[best]
                self.table.compared[neuron, relation] = torch.from_numpy(compared[best])

    def _compare(
        self, activation: Array, label: int, relatives: Sequence[int], relations: Array
    ) -> tuple[Array, float]:
        """Return correlation, difference, low and high of each relative, and the correlation with the label.

        Of siblings that describe the neuron no better than the label, only the best gets an interval, because the
        others neither decide anything nor are shown.
        """
        places = [self._row[place] for place in (label, *relatives)]
        correlations = self.rows.correlations(activation, places)
        compared = np.full((len(relatives), 4), np.nan)
        compared[:, 0] = correlations[1:].clip(-1, 1)
        compared[:, 1] = correlations[1:] - correlations[0]
        siblings = relations == RELATIONS.index("sibling")
        matters = ~siblings | (compared[:, 1] > 0)
        if siblings.any():
            matters[_best(compared, siblings)] = True
        chosen = np.concatenate([[0], 1 + matters.nonzero()[0]])
        errors, freedom = self.rows.errors(activation, [places[place] for place in chosen], correlations[chosen])
        reach = student_quantile((1 - self.confidence) / max(1, len(relatives)), freedom) * errors
        compared[matters, 2:] = compared[matters, 1:2] + np.stack([-reach, reach], axis=1)
        return compared, float(correlations[0].clip(-1, 1))


def _verdict(compared: Array, relations: Array) -> Specificity:
    low, high = compared[:, 2], compared[:, 3]
    better = low > ROUNDING
    if better.any():
        return _ERRS[RELATIONS[int(relations[_best(compared, better)])]]
    levels = high[(relations != RELATIONS.index("sibling")) & ~np.isnan(high)]
    return "fits" if len(levels) and (levels < -ROUNDING).all() else "undecided"


def _best(compared: Array, among: npt.NDArray[np.bool_]) -> int:
    """Return which of some describes the neuron best; one without a correlation only if there is no other."""
    correlation = np.where(np.isnan(compared[:, 0]), -2.0, compared[:, 0])
    return int(np.where(among, correlation, -3.0).argmax())
