"""When labels are searched for, and of which neurons."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, isfinite
from pathlib import Path
from typing import Any, Literal, get_args

from torch import Tensor

from lightning_dissect.checks import check_positive
from lightning_dissect.refine.label_files import GivenLabel, read_labels
from lightning_dissect.refine.refinement import ConceptRefinement
from lightning_dissect.refine.search import RefinementTarget
from lightning_dissect.refine.spending import SearchBudget
from lightning_dissect.types import DissectionReport, NeuronLabel

NeuronChoice = Literal["disputed", "changed", "withheld", "all"]
CHOICES: tuple[NeuronChoice, ...] = get_args(NeuronChoice)


def _in_five_minutes() -> ConceptRefinement:
    return ConceptRefinement(budget=SearchBudget(seconds=300))


@dataclass(frozen=True)
class RefinementPlan:
    """Which neurons get a search for a label of an open vocabulary, and when.

    Args:
        search: How the search goes about it and what it may take.
        neurons: ``"disputed"``, those of which several labels may be the best; ``"changed"``, those with another label
            than in the dissection before; ``"withheld"``, those whose label chance could explain; ``"all"`` that
            answer at all; or the units of each layer, as ``{"layer4": [7, 12]}``.
        labels: Labels of another tool, or the file that holds them (see `read_labels`), to begin with in place of
            those of the dissection; ``neurons`` then does not count. With ``search.steps`` 0 they are judged as they
            are.
        num_neurons: Most neurons per search, those of the highest quality first.
        every_n_dissections: Search after the first dissection and every n-th from there; ``None`` does not.
        at_end: Whether to search after the last dissection, when the training ends.
        pool_images: Most images of the validation that serve as control images, and that labels are found in.
        preprocess: From RGB images, shape ``(images, 3, height, width)``, uint8, to the network's input; by default
            they are scaled to the size of the validation's images and normalised as those are.
        forward_fn: Called with the LightningModule and what ``preprocess`` returns; by default the module is called.
        batch_size: Images that are run through the network at a time.

    Raises:
        ValueError:
            If a number is not positive, ``neurons`` is unknown or nothing would ever be searched.

    Example:
        >>> plan = RefinementPlan(every_n_dissections=5, at_end=False)
        >>> [cycle for cycle in range(8) if plan.is_due(cycle)]
        [0, 5]

    """

    search: ConceptRefinement = field(default_factory=_in_five_minutes)
    neurons: NeuronChoice | Mapping[str, Sequence[int]] = "disputed"
    labels: Sequence[GivenLabel] | str | Path = ()
    num_neurons: int = 16
    every_n_dissections: int | None = None
    at_end: bool = True
    pool_images: int = 1024
    preprocess: Callable[[Tensor], Tensor] | None = None
    forward_fn: Callable[[Any, Tensor], Any] | None = None
    batch_size: int = 32

    def __post_init__(self) -> None:
        for name in ("num_neurons", "every_n_dissections", "pool_images", "batch_size"):
            if getattr(self, name) is not None:
                check_positive(name, getattr(self, name))
        if isinstance(self.neurons, str) and self.neurons not in CHOICES:
            raise ValueError(
                f"Expected `neurons` to be one of {list(CHOICES)} or the units of each layer but got {self.neurons!r}."
            )
        _ = self.given_labels
        if self.every_n_dissections is None and not self.at_end:
            raise ValueError("Expected `every_n_dissections` to be a number or `at_end` to be true but got neither.")

    def is_due(self, cycle: int) -> bool:
        """Return whether labels are searched for after a dissection, not counting the end of the training.

        Args:
            cycle: Number of dissections before it.

        """
        return self.every_n_dissections is not None and cycle % self.every_n_dissections == 0

    def may_follow(self, cycle: int) -> bool:
        """Return whether labels may be searched for before the next dissection, at the end of the training or before.

        Args:
            cycle: Number of dissections before the one at hand.

        """
        return self.at_end or self.is_due(cycle)

    def targets(self, report: DissectionReport, changed: Collection[tuple[str, int]]) -> list[RefinementTarget]:
        """Return the neurons whose labels are searched for.

        Args:
            report: The dissection.
            changed: Layer and unit of the neurons with another label than in the dissection before.

        Raises:
            ValueError:
                If a layer or unit that was asked for was not dissected.

        """
        if self.labels:
            return _of_labels(self.given_labels, report)[: self.num_neurons]
        if not isinstance(self.neurons, str):
            _check_known(self.neurons, report)
        chosen = [neuron for neuron in report.neurons if neuron.candidates and self._is_chosen(neuron, changed)]
        chosen.sort(key=lambda neuron: -neuron.quality if isfinite(neuron.quality) else inf)
        return [_target(neuron) for neuron in chosen[: self.num_neurons]]

    @property
    def given_labels(self) -> tuple[GivenLabel, ...]:
        """The labels of another tool, read where they are in a file."""
        return read_labels(self.labels) if isinstance(self.labels, (str, Path)) else tuple(self.labels)

    def _is_chosen(self, neuron: NeuronLabel, changed: Collection[tuple[str, int]]) -> bool:
        if not isinstance(self.neurons, str):
            return neuron.unit in self.neurons.get(neuron.layer, ())
        return {
            "disputed": neuron.status == "ambiguous",
            "changed": (neuron.layer, neuron.unit) in changed,
            "withheld": neuron.status == "no_clear_function",
            "all": True,
        }[self.neurons]


def _target(neuron: NeuronLabel, *labels: str) -> RefinementTarget:
    return RefinementTarget(neuron.layer, neuron.unit, (*labels, *(item.concept for item in neuron.candidates)))


def _of_labels(labels: Sequence[GivenLabel], report: DissectionReport) -> list[RefinementTarget]:
    """Return the neurons that another tool has labelled; it may call a layer by the end of its name."""
    names = [layer.layer for layer in report.layers]
    units: dict[str, dict[int, str]] = {}
    for given in labels:
        found = [name for name in names if name == given.layer] or [n for n in names if n.endswith(f".{given.layer}")]
        if len(found) != 1:
            raise ValueError(
                f"Expected `labels` to name dissected layers but got {given.layer!r}. Dissected were {names}."
            )
        units.setdefault(found[0], {})[given.unit] = given.label
    _check_known({layer: list(of_layer) for layer, of_layer in units.items()}, report)
    neurons = {(neuron.layer, neuron.unit): neuron for neuron in report.neurons}
    return [_target(neurons[layer, unit], label) for layer, found in units.items() for unit, label in found.items()]


def _check_known(units: Mapping[str, Sequence[int]], report: DissectionReport) -> None:
    sizes = {layer.layer: len(layer.neurons) for layer in report.layers}
    for layer, wanted in units.items():
        unknown = [unit for unit in wanted if not 0 <= unit < sizes.get(layer, 0)]
        if layer not in sizes or unknown:
            raise ValueError(
                "Expected `neurons` or `labels` to name dissected neurons but got "
                f"{unknown or list(wanted)} of {layer!r}. "
                f"Dissected were {', '.join(f'{size} units of {name}' for name, size in sizes.items())}."
            )
