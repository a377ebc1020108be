"""Which neurons to show where there is no room for all."""

import math
from collections.abc import Callable, Sequence

from lightning_dissect.types import NeuronLabel


def by_quality(neurons: Sequence[NeuronLabel]) -> list[NeuronLabel]:
    """Return neurons by falling quality; those without a quality come last, ties keep their order.

    Args:
        neurons: Any neurons.

    """
    return sorted(neurons, key=lambda neuron: -neuron.quality if math.isfinite(neuron.quality) else math.inf)


def best_and_worst(neurons: Sequence[NeuronLabel], count: int) -> list[NeuronLabel]:
    """Return the best and the worst labelled neurons by quality, best first.

    Half of the places go to neurons that evaluators judged, as far as there are any.

    Args:
        neurons: Any neurons; those without a quality or without top images are left out.
        count: Most neurons returned; the better half has one more if it is odd.

    Example:
        >>> from lightning_dissect.types import ScoredConcept, TopImage
        >>> def neuron(unit: int) -> NeuronLabel:
        ...     return NeuronLabel("fc", unit, "labelled", (ScoredConcept("cat", 1.0, unit / 9),), (TopImage(0, 1.0),))
        >>> [neuron.unit for neuron in best_and_worst([neuron(unit) for unit in range(9)], count=3)]
        [8, 7, 0]

    """
    shown = [neuron for neuron in by_quality(neurons) if math.isfinite(neuron.quality) and neuron.top_images]
    return _judged_among(shown, count, _ends)


def evenly_spread(neurons: Sequence[NeuronLabel], count: int) -> list[NeuronLabel]:
    """Return ``count`` neurons at even distances in the order of quality, the first and the last among them.

    Half of the places go to neurons that evaluators judged, as far as there are any, spread likewise.

    Args:
        neurons: Any neurons.
        count: Most neurons returned; all of them, by falling quality, if there are no more.

    Example:
        >>> neurons = [NeuronLabel("fc", unit, "dead") for unit in range(9)]
        >>> [neuron.unit for neuron in evenly_spread(neurons, count=3)]
        [0, 4, 8]

    """
    return _judged_among(by_quality(neurons), count, _spread)


def _judged_among(
    ranked: list[NeuronLabel], count: int, choose: Callable[[list[int], int], list[int]]
) -> list[NeuronLabel]:
    if len(ranked) <= count:
        return ranked
    judged = [place for place, neuron in enumerate(ranked) if neuron.evaluations]
    chosen = set(choose(judged, -(-count // 2)))
    others = [place for place in range(len(ranked)) if place not in chosen]
    return [ranked[place] for place in sorted(chosen.union(choose(others, count - len(chosen))))]


def _ends(places: list[int], count: int) -> list[int]:
    if len(places) <= count:
        return places
    worst = count // 2
    return places[: count - worst] + places[len(places) - worst :]


def _spread(places: list[int], count: int) -> list[int]:
    if len(places) <= count:
        return places
    if count < 2:
        return places[:count]
    return [places[index * (len(places) - 1) // (count - 1)] for index in range(count)]
