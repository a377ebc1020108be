"""Alarms: what looks at a history after every dissection and says that something goes wrong."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from lightning_dissect.array_archive import Array
from lightning_dissect.history.history import DissectionHistory
from lightning_dissect.registry import Registry

Curves = Mapping[str, Mapping[str, Array]]
"""What `curves` returns: for each layer, and "" for all, each of `CURVES`."""


@dataclass(frozen=True)
class Alarm:
    """Something that went wrong at a dissection.

    Args:
        name: Which kind of alarm it is.
        title: What happened, in a few words.
        text: What happened, with the numbers, in one or more sentences.
        layer: Full module name of the layer where it happened, empty for all together.
        value: The number that raised the alarm.
        threshold: The number that it passed.

    """

    name: str
    title: str
    text: str
    layer: str
    value: float
    threshold: float


@runtime_checkable
class AlarmRule(Protocol):
    """Decides after a dissection whether there is an alarm.

    An alarm is an event: a state that lasts raises it once.

    Example:
        >>> class Poor:
        ...     def check(self, history: DissectionHistory, curves: Curves) -> list[Alarm]:
        ...         quality = curves[""]["quality"][-1]
        ...         return [Alarm("poor", "Poor labels", "", "", quality, 0.1)] if quality < 0.1 else []
        >>> isinstance(Poor(), AlarmRule)
        True

    """

    def check(self, history: DissectionHistory, curves: Curves) -> list[Alarm]:
        """Return the alarms that the last dissection raises.

        Args:
            history: The dissections up to the last one.
            curves: Their curves, see `lightning_dissect.history.curves`.

        """
        ...


ALARMS: Registry[AlarmRule] = Registry("alarm")


def where(layer: str) -> str:
    """Return how a sentence ends that speaks of a layer.

    Args:
        layer: Full module name, empty for all together.

    Example:
        >>> where("layer4"), where("")
        (' in layer4', '')

    """
    return f" in {layer}" if layer else ""
