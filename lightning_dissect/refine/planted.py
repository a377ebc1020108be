"""Neurons of known function on top of any features: ground truth for whatever names neurons."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

PlantedKind = Literal["single", "or", "and", "not", "colour", "texture", "dead", "random"]
PLANTED_KINDS: tuple[PlantedKind, ...] = get_args(PlantedKind)

_NUM_CONCEPTS = {"single": 1, "or": 2, "and": 2, "not": 1, "colour": 1, "texture": 0, "dead": 0, "random": 0}
_COLOURS = {"red": (1.0, -0.5, -0.5), "green": (-0.5, 1.0, -0.5), "blue": (-0.5, -0.5, 1.0), "white": (1 / 3,) * 3}


@dataclass(frozen=True)
class PlantedUnit:
    """A neuron whose function is known.

    Args:
        kind: ``"single"``, the evidence of one concept; ``"or"`` and ``"and"``, the larger and the smaller evidence of
            two; ``"not"``, the lack of evidence; ``"colour"``, how much there is of ``"red"``, ``"green"``, ``"blue"``
            or ``"white"``; ``"texture"``, how much neighbouring pixels differ; ``"dead"``, always 0; ``"random"``, a
            number that has nothing to do with what the image shows.
        concepts: The concepts or the colour that it stands for.

    Raises:
        ValueError:
            If the kind is unknown or takes another number of concepts.

    """

    kind: PlantedKind
    concepts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in PLANTED_KINDS:
            raise ValueError(f"Expected `kind` to be one of {PLANTED_KINDS} but got {self.kind!r}.")
        if len(self.concepts) != _NUM_CONCEPTS[self.kind]:
            raise ValueError(
                f"Expected {_NUM_CONCEPTS[self.kind]} `concepts` for the kind {self.kind!r} but got {self.concepts}."
            )
        if self.kind == "colour" and self.concepts[0] not in _COLOURS:
            raise ValueError(f"Expected the colour to be one of {list(_COLOURS)} but got {self.concepts[0]!r}.")


class PlantedNetwork(nn.Module):
    """A network whose neurons, the output of ``units``, have known functions.

    Args:
        evidence: Says how much of each concept images show, from images in ``[0, 1]``, shape
            ``(images, 3, height, width)``, to ``(images, concepts)`` in ``[0, 1]``; a module that holds a pretrained
            classifier, for example.
        concepts: Names of the concepts, in the order of the evidence.
        units: The neurons.
        noise: Standard deviation of what is added to each neuron but the dead ones: as deaf to what the image shows as
            a random unit, and the same whenever the image comes again.

    Raises:
        ValueError:
            If a neuron stands for a concept without evidence.

    Example:
        >>> def brightness(images):
        ...     return images.mean(dim=(1, 2, 3))[:, None]
        >>> units = [PlantedUnit("single", ("bright",)), PlantedUnit("not", ("bright",)), PlantedUnit("dead")]
        >>> network = PlantedNetwork(brightness, ["bright"], units)
        >>> network(torch.full((1, 3, 4, 4), 0.75))
        tensor([[0.7500, 0.2500, 0.0000]])

    """

    def __init__(
        self,
        evidence: Callable[[Tensor], Tensor],
        concepts: Sequence[str],
        units: Sequence[PlantedUnit],
        noise: float = 0.0,
    ) -> None:
        super().__init__()
        unknown = {name for unit in units if unit.kind != "colour" for name in unit.concepts} - set(concepts)
        if unknown:
            raise ValueError(f"Expected evidence of every concept of `units` but there is none of {sorted(unknown)}.")
        self.evidence = evidence
        self.planted = tuple(units)
        self.noise = noise
        self.units = nn.Identity()
        self._places = {name: place for place, name in enumerate(concepts)}

    def forward(self, images: Tensor) -> Tensor:
        """Return the activations of the neurons, shape ``(images, units)``.

        Args:
            images: Images in ``[0, 1]``, shape ``(images, 3, height, width)``.

        """
        evidence = self.evidence(images)
        unrelated = _unrelated(images, len(self.planted))
        columns = [self._activation(unit, evidence, images) for unit in self.planted]
        for place, unit in enumerate(self.planted):
            if unit.kind == "random":
                columns[place] = unrelated[:, place]
            elif unit.kind != "dead":
                columns[place] = columns[place] + self.noise * unrelated[:, place]
        activations: Tensor = self.units(torch.stack(columns, dim=1))
        return activations

    def _activation(self, unit: PlantedUnit, evidence: Tensor, images: Tensor) -> Tensor:
        if unit.kind == "colour":
            weights = torch.tensor(_COLOURS[unit.concepts[0]], device=images.device)
            return images.mean(dim=(2, 3)) @ weights
        if unit.kind == "texture":
            return images.diff(dim=2).abs().mean(dim=(1, 2, 3)) + images.diff(dim=3).abs().mean(dim=(1, 2, 3))
        shown = evidence[:, [self._places[name] for name in unit.concepts]]
        if unit.kind == "not":
            return 1 - shown[:, 0]
        if not unit.concepts:
            return evidence.new_zeros(len(images))
        return shown.amin(dim=1) if unit.kind == "and" else shown.amax(dim=1)


def _unrelated(images: Tensor, count: int) -> Tensor:
    """Return numbers that depend on every pixel and on nothing that an image shows, normal, shape ``(images, count)``.

    Pixels are taken to a grid of 256 values, so that an image has the same numbers in whatever batch it comes.
    """
    grid = images.detach().mul(255).round().flatten(1).long()
    places = torch.arange(1, grid.shape[1] + 1, device=images.device)
    keys = ((grid + 1) * (places * 2654435761 % 2**31)).sum(dim=1)
    numbers = (keys[:, None] + torch.arange(count, device=images.device) * 40503) * 6364136223846793005
    for shift in (31, 29, 32):
        numbers = (numbers ^ (numbers >> shift)) * 2862933555777941757
    uniform = ((numbers >> 20) & 0xFFFFFFFF).double().add(0.5) / 2**32
    normal: Tensor = torch.special.ndtri(uniform)
    return normal.float()
