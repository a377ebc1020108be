"""What is measured of some neurons, on the process that holds them, to judge a whole layer by."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_dissect.checks import check_positive
from lightning_dissect.neuron_table import NeuronTable
from lightning_dissect.presence import PresenceSource
from lightning_dissect.similarity import Scorer, identity, live_neurons
from lightning_dissect.trust.discovery import false_discovery_q_values
from lightning_dissect.trust.floor import UntrainedFloor
from lightning_dissect.trust.intervals import quality_intervals
from lightning_dissect.trust.permutation import (
    best_scores,
    chance_p_values,
    concepts_at_once,
    permutation_rounds,
    permuted_scores,
    skewness,
)
from lightning_dissect.trust.verdict import TrustTable

FEWEST_IMAGES = 3
"""With fewer images none can be left out."""


@dataclass(frozen=True)
class TrustColumns(NeuronTable):
    """One row per neuron, each measured without regard to which process holds the others.

    All but ``quality`` and ``contenders`` are rounded to float32: what differs by the order of summation alone is equal
    then, on one process or several.

    Args:
        best: Best score of all concepts, shape ``(neurons,)``; NaN for neurons that are constant or not finite.
        skewness: How lopsided the activations are, shape ``(neurons,)``.
        permuted: Best scores under permutation, shape ``(neurons, rounds)``.
        explained: What concepts explain beyond untrained features, shape ``(neurons,)``; NaN without a floor.
        quality: Correlation with each candidate's presence, shape ``(neurons, candidates)``, float64.
        low: Lower ends of the intervals, shape ``(neurons, candidates)``.
        high: Upper ends, shape ``(neurons, candidates)``.
        contenders: Which candidates may be the best, shape ``(neurons, candidates)``, bool.
        stability: Probability that two other probes agree on the best candidate, shape ``(neurons,)``.

    Example:
        >>> from lightning_dissect.presence import ConceptPresence
        >>> from lightning_dissect.similarity import Correlation, prepare
        >>> matrix = torch.rand(40, 3, generator=torch.Generator().manual_seed(0))
        >>> scorer, presence, candidates = prepare(Correlation(), matrix), ConceptPresence(matrix), torch.tensor([[0]])
        >>> shares = [
        ...     measure_trust(matrix[:, [unit]], scorer, presence, candidates, layer_size=2, first_unit=unit)
        ...     for unit in (0, 1)
        ... ]
        >>> TrustColumns.cat(shares).table().p_chance.shape
        torch.Size([2])

    """

    best: Tensor
    skewness: Tensor
    permuted: Tensor
    explained: Tensor
    quality: Tensor
    low: Tensor
    high: Tensor
    contenders: Tensor
    stability: Tensor

    def table(self, floor: UntrainedFloor | None = None) -> TrustTable:
        """Judge a whole layer.

        Args:
            floor: What ``explained`` was measured with.

        """
        p_chance = chance_p_values(self.best, self.skewness, self.permuted)
        p_untrained = torch.full_like(p_chance, torch.nan)
        if floor is not None:
            p_untrained = (
                floor.p_values(self.explained.to(floor.null)).to(p_chance).where(p_chance.isfinite(), torch.nan)
            )
        return TrustTable(
            quality=self.quality,
            low=self.low,
            high=self.high,
            contenders=self.contenders,
            p_chance=p_chance,
            q_chance=false_discovery_q_values(p_chance),
            explained=self.explained,
            p_untrained=p_untrained,
            q_untrained=false_discovery_q_values(p_untrained),
            stability=self.stability,
        )


def measure_trust(
    activations: Tensor,
    scorer: Scorer,
    presence: PresenceSource,
    candidates: Tensor,
    *,
    layer_size: int,
    first_unit: int = 0,
    floor: UntrainedFloor | None = None,
    best: Tensor | None = None,
    over_processes: Callable[[Tensor], Tensor] = identity,
    confidence: float = 0.95,
    seed: int = 0,
    max_bytes: int = 2**26,
) -> TrustColumns:
    """Measure neurons of one layer, all of them or a process's share.

    The columns of consecutive shares, put together by `TrustColumns.cat`, are those of the whole layer.

    Args:
        activations: Pooled activations of consecutive neurons, shape ``(images, neurons)``; there may be none.
        scorer: The similarity that chose the labels, prepared for the concept matrix of these images.
        presence: Presence of the concepts in the images.
        candidates: Indices of each neuron's candidates, the label first, shape ``(neurons, candidates)``; -1 where
            there is none.
        layer_size: Neurons of the layer over all processes.
        first_unit: Place of the first of these neurons in the layer.
        floor: What untrained networks would explain in this layer; without it chance alone is asked.
        best: Best score of every neuron, shape ``(neurons,)``, where labelling has found it already; given on all
            processes or on none.
        over_processes: Sums exponentials over processes, see `Scorer.blocks`; all of them must then call this.
        confidence: Of intervals and contenders.
        seed: Seed of the permutations.
        max_bytes: Most bytes that an intermediate tensor may take.

    Raises:
        ValueError:
            If shapes do not fit, the share is not within the layer, or an argument is out of range.

    """
    check_positive("max_bytes", max_bytes)
    neurons = activations.shape[1]
    if not 0 <= first_unit <= layer_size - neurons:
        raise ValueError(
            f"Expected the share to be within the {layer_size} neurons of `layer_size` "
            f"but got {neurons} neurons from `first_unit` {first_unit} on."
        )
    rounds, width = permutation_rounds(layer_size), concepts_at_once(layer_size, max_bytes)
    intervals = quality_intervals(activations, presence, candidates, confidence, max_bytes)
    if best is None:
        best = best_scores(activations, scorer, width, over_processes)
    permuted = permuted_scores(
        activations,
        scorer,
        rounds,
        width,
        layer_size=layer_size,
        first_unit=first_unit,
        over_processes=over_processes,
        seed=seed,
        max_bytes=max_bytes,
    )
    live = live_neurons(activations).cpu()
    explained = torch.full((neurons,), torch.nan)
    if floor is not None:
        explained = floor.explained(activations).to("cpu", torch.float32)
    return TrustColumns(
        best=best.to("cpu", torch.float32).nan_to_num(nan=-torch.inf).where(live, torch.nan),
        skewness=skewness(activations).cpu(),
        permuted=permuted.cpu(),
        explained=explained,
        quality=intervals.quality,
        low=intervals.low.to(torch.float32),
        high=intervals.high.to(torch.float32),
        contenders=intervals.contenders,
        stability=intervals.stability.to(torch.float32),
    )


def assess_labels(
    activations: Tensor,
    scorer: Scorer,
    presence: PresenceSource,
    candidates: Tensor,
    floor: UntrainedFloor | None = None,
    *,
    confidence: float = 0.95,
    seed: int = 0,
    max_bytes: int = 2**26,
) -> TrustTable:
    """Say how far the labels of a layer can be trusted, where one process holds it all.

    Args:
        activations: Pooled activations, shape ``(images, neurons)``.
        scorer: The similarity that chose the labels, prepared for the concept matrix of these images.
        presence: Presence of the concepts in the images.
        candidates: Indices of each neuron's candidates, the label first, shape ``(neurons, candidates)``; -1 where
            there is none.
        floor: What untrained networks would explain in this layer; without it chance alone is asked.
        confidence: Of intervals and contenders.
        seed: Seed of the permutations.
        max_bytes: Most bytes that an intermediate tensor may take.

    Raises:
        ValueError:
            If shapes do not fit or an argument is out of range.

    Example:
        >>> from lightning_dissect.presence import ConceptPresence
        >>> from lightning_dissect.similarity import Correlation, prepare
        >>> concept_matrix, noise = torch.randn(2, 300, 8, generator=torch.Generator().manual_seed(0))
        >>> activations = torch.stack([concept_matrix[:, 3], noise[:, 0]], dim=1)
        >>> table = assess_labels(activations, prepare(Correlation(), concept_matrix),
        ...     ConceptPresence(concept_matrix), torch.tensor([[3, 1], [0, 1]]))
        >>> [verdict for verdict, _ in table.records([["cat", "dog"], ["sky", "dog"]])]
        ['labelled', 'no_clear_function']

    """
    columns = measure_trust(
        activations,
        scorer,
        presence,
        candidates,
        layer_size=activations.shape[1],
        floor=floor,
        confidence=confidence,
        seed=seed,
        max_bytes=max_bytes,
    )
    return columns.table(floor)
