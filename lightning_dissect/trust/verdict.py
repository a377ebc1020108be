"""The verdict on every label: labelled, ambiguous, or no clear function."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from torch import Tensor

from lightning_dissect.types import LabelTrust

Verdict = Literal["labelled", "ambiguous", "no_clear_function"]

_NUMBERS = ("p_chance", "q_chance", "explained", "p_untrained", "q_untrained", "stability")


@dataclass(frozen=True)
class TrustTable:
    """How far the labels of a layer can be trusted, as tensors.

    Args:
        quality: Correlation with each candidate's presence, shape ``(neurons, candidates)``.
        low: Lower ends of the intervals, shape ``(neurons, candidates)``.
        high: Upper ends, shape ``(neurons, candidates)``.
        contenders: Which candidates may be the best, shape ``(neurons, candidates)``, bool.
        p_chance: Shape ``(neurons,)``; NaN for neurons that are constant or not finite, here and below.
        q_chance: Shape ``(neurons,)``.
        explained: Shape ``(neurons,)``; NaN without a floor, as are the two below.
        p_untrained: Shape ``(neurons,)``.
        q_untrained: Shape ``(neurons,)``.
        stability: Probability that two other probes agree on the best candidate, shape ``(neurons,)``.

    """

    quality: Tensor
    low: Tensor
    high: Tensor
    contenders: Tensor
    p_chance: Tensor
    q_chance: Tensor
    explained: Tensor
    p_untrained: Tensor
    q_untrained: Tensor
    stability: Tensor

    def has_function(self, false_discovery_rate: float = 0.05) -> Tensor:
        """Return which neurons do more than chance and, where there is a floor, than an untrained network.

        Args:
            false_discovery_rate: Bound on both q-values.

        Returns:
            Shape ``(neurons,)``, bool.

        """
        above_floor = self.q_untrained.isnan() | (self.q_untrained <= false_discovery_rate)
        return (self.q_chance <= false_discovery_rate) & above_floor

    def records(
        self, candidate_names: Sequence[Sequence[str]], false_discovery_rate: float = 0.05
    ) -> tuple[tuple[Verdict, LabelTrust] | None, ...]:
        """Return a verdict and what it rests on, for every neuron that is neither constant nor non-finite.

        The verdict is ``"no_clear_function"`` if chance or an untrained network would explain as much,
        ``"ambiguous"`` if a candidate beside the label may be the best, else ``"labelled"``.

        Args:
            candidate_names: Names of each neuron's candidates, the label first.
            false_discovery_rate: Bound on both q-values for a neuron to have a function.

        Returns:
            One entry per neuron, ``None`` where there is nothing to judge.

        """
        columns = {field.name: getattr(self, field.name).tolist() for field in fields(self)}
        has_function, is_judged = self.has_function(false_discovery_rate).tolist(), self.p_chance.isfinite().tolist()
        return tuple(
            _record({name: values[neuron] for name, values in columns.items()}, names, has_function[neuron])
            if is_judged[neuron] and names
            else None
            for neuron, names in enumerate(candidate_names)
        )


def _record(row: dict[str, Any], names: Sequence[str], has_function: bool) -> tuple[Verdict, LabelTrust]:
    contenders = tuple(name for name, contends in zip(names, row["contenders"], strict=False) if contends)
    interval = (row["low"][0], row["high"][0])
    numbers = {name: row[name] for name in _NUMBERS}
    return _verdict(has_function, contenders, names[0]), LabelTrust(interval, contenders, **numbers)


def _verdict(has_function: bool, contenders: tuple[str, ...], label: str) -> Verdict:
    if not has_function:
        return "no_clear_function"
    return "labelled" if contenders in {(), (label,)} else "ambiguous"
