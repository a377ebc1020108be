"""The verdict on every label: labelled, ambiguous, or no clear function."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

import torch
from torch import Tensor

from lightning_dissect.similarity import Scorer
from lightning_dissect.trust.discovery import false_discovery_q_values
from lightning_dissect.trust.floor import UntrainedFloor
from lightning_dissect.trust.intervals import Presence, quality_intervals
from lightning_dissect.trust.permutation import permutation_p_values

Verdict = Literal["labelled", "ambiguous", "no clear function"]


@dataclass(frozen=True)
class LabelTrust:
    """How far the label of one neuron can be trusted.

    Args:
        verdict: ``"no clear function"`` if chance or an untrained network would explain as much, ``"ambiguous"`` if
            several candidates may be the best, else ``"labelled"``.
        interval: Where the quality of the label lies, with the confidence that was asked for.
        contenders: Candidates that may be the best, in the order of the candidates.
        p_chance: p-value of the best score under shuffled images.
        q_chance: Lowest false-discovery rate in the layer at which it would be called.
        explained: Share of the neuron that concepts explain beyond untrained features, at most 1; NaN without a floor.
        p_untrained: p-value of this share among units of untrained networks.
        q_untrained: Lowest false-discovery rate in the layer at which it would be called.

    """

    verdict: Verdict
    interval: tuple[float, float]
    contenders: tuple[str, ...]
    p_chance: float
    q_chance: float
    explained: float = float("nan")
    p_untrained: float = float("nan")
    q_untrained: float = float("nan")


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
        self, candidates: Sequence[Sequence[str]], false_discovery_rate: float = 0.05
    ) -> tuple[LabelTrust, ...]:
        """Return one record per neuron.

        Args:
            candidates: Names of each neuron's candidates, the label first.
            false_discovery_rate: Bound on both q-values for a neuron to have a function.

        """
        columns = {field.name: getattr(self, field.name).tolist() for field in fields(self)}
        function = self.has_function(false_discovery_rate).tolist()
        return tuple(
            _record({name: values[neuron] for name, values in columns.items()}, names, function[neuron])
            for neuron, names in enumerate(candidates)
        )


def assess_labels(  # noqa: PLR0917
    activations: Tensor,
    scorer: Scorer,
    presence: Presence,
    candidates: Tensor,
    floor: UntrainedFloor | None = None,
    confidence: float = 0.95,
    seed: int = 0,
) -> TrustTable:
    """Say how far the labels of a layer can be trusted.

    Args:
        activations: Pooled activations, shape ``(images, neurons)``.
        scorer: The similarity that chose the labels, prepared for the concept matrix of these images.
        presence: Gives the presence of concepts, such as ``ConceptPresence(concept_matrix).columns``.
        candidates: Indices of each neuron's candidates, the label first, shape ``(neurons, candidates)``; -1 where
            there is none.
        floor: What untrained networks would explain in this layer; without it chance alone is asked.
        confidence: Of intervals and contenders.
        seed: Seed of the permutations.

    Example:
        >>> from lightning_dissect.presence import ConceptPresence
        >>> from lightning_dissect.similarity import Correlation, prepare
        >>> concept_matrix, noise = torch.randn(2, 300, 8, generator=torch.Generator().manual_seed(0))
        >>> activations = torch.stack([concept_matrix[:, 3], noise[:, 0]], dim=1)
        >>> table = assess_labels(activations, prepare(Correlation(), concept_matrix),
        ...     ConceptPresence(concept_matrix).columns, torch.tensor([[3, 1], [0, 1]]))
        >>> [record.verdict for record in table.records([["cat", "dog"], ["sky", "dog"]])]
        ['labelled', 'no clear function']

    """
    intervals = quality_intervals(activations, presence, candidates, confidence)
    p_chance = permutation_p_values(activations, scorer, seed=seed)
    explained = p_untrained = torch.full_like(p_chance, torch.nan)
    if floor is not None:
        explained = floor.explained(activations)
        p_untrained = floor.p_values(explained).where(p_chance.isfinite(), torch.nan)
    return TrustTable(
        quality=intervals.quality,
        low=intervals.low,
        high=intervals.high,
        contenders=intervals.contenders,
        p_chance=p_chance,
        q_chance=false_discovery_q_values(p_chance),
        explained=explained,
        p_untrained=p_untrained,
        q_untrained=false_discovery_q_values(p_untrained),
    )


def _record(row: dict[str, list[float]], names: Sequence[str], has_function: bool) -> LabelTrust:
    contenders = tuple(name for name, contends in zip(names, row["contenders"], strict=False) if contends)
    label = names[0] if names else ""
    interval = (row["low"][0], row["high"][0])
    numbers = {name: row[name] for name in ("p_chance", "q_chance", "explained", "p_untrained", "q_untrained")}
    return LabelTrust(_verdict(has_function, contenders, label), interval, contenders, **numbers)  # type: ignore[arg-type]


def _verdict(has_function: bool, contenders: tuple[str, ...], label: str) -> Verdict:
    if not has_function:
        return "no clear function"
    return "labelled" if contenders in {(), (label,)} else "ambiguous"
