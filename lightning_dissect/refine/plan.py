"""When labels are searched for, and of which neurons."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from torch import Tensor

from lightning_dissect.checks import check_positive
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
        if not isinstance(self.neurons, str):
            _check_known(self.neurons, report)
        chosen = [neuron for neuron in report.neurons if neuron.candidates and self._is_chosen(neuron, changed)]
        chosen.sort(key=lambda neuron: -neuron.quality if neuron.quality == neuron.quality else 0)
        return [
            RefinementTarget(neuron.layer, neuron.unit, tuple(item.concept for item in neuron.candidates))
            for neuron in chosen[: self.num_neurons]
        ]

    def _is_chosen(self, neuron: NeuronLabel, changed: Collection[tuple[str, int]]) -> bool:
        if not isinstance(self.neurons, str):
            return neuron.unit in self.neurons.get(neuron.layer, ())
        return {
            "disputed": neuron.status == "ambiguous",
            "changed": (neuron.layer, neuron.unit) in changed,
            "withheld": neuron.status == "no_clear_function",
            "all": True,
        }[self.neurons]


def _check_known(units: Mapping[str, Sequence[int]], report: DissectionReport) -> None:
    sizes = {layer.layer: len(layer.neurons) for layer in report.layers}
    for layer, wanted in units.items():
        unknown = [unit for unit in wanted if not 0 <= unit < sizes.get(layer, 0)]
        if layer not in sizes or unknown:
            raise ValueError(
                f"Expected `neurons` to name dissected neurons but got {unknown or list(wanted)} of {layer!r}. "
                f"Dissected were {', '.join(f'{size} units of {name}' for name, size in sizes.items())}."
            )
