"""Judging the labels of a run: what untrained networks explain is learned once, every dissection is held against it."""

import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from lightning_dissect.budget import ByteBudget
from lightning_dissect.concept_matrix import ConceptMatrix
from lightning_dissect.peers import Peers
from lightning_dissect.presence import PresenceSource
from lightning_dissect.recording import (
    ActivationStorage,
    NeuronShare,
    PooledActivations,
    SelectedLayer,
    exchange_neurons,
)
from lightning_dissect.similarity import Scorer
from lightning_dissect.trust.concept_axes import ConceptAxes
from lightning_dissect.trust.floor import UntrainedFloor
from lightning_dissect.trust.measure import TrustColumns, measure_trust
from lightning_dissect.trust.untrained_networks import UntrainedNetworks
from lightning_dissect.types import NeuronLabel

_LOST = "What untrained copies of the model said was lost in a dissection that failed."


class TrustJudge:
    """Says of every label of a run whether it is clear, ambiguous or withheld.

    During the first dissection of a model untrained copies of it run beside it; what concepts explain of them is the
    floor for this dissection and for all that follow on the same images and concepts. Where images or concepts change,
    or copies cannot be had, labels are held against chance alone and `basis` says so. Copies of the judge have learned
    nothing yet.

    Args:
        false_discovery_rate: Share of wrong discoveries in a layer that is put up with, against chance and against the
            untrained networks alike.
        untrained_networks: Copies of the model with random weights; 0 holds labels against chance alone.
        budget: Who may hold how many bytes.
        seed: Seed of the random weights.

    Raises:
        ValueError:
            If ``false_discovery_rate`` is not between 0 and 1, or ``untrained_networks`` is negative or 1.

    Example:
        >>> TrustJudge(0.05, untrained_networks=0, budget=ByteBudget()).basis
        'chance'

    """

    def __init__(self, false_discovery_rate: float, untrained_networks: int, budget: ByteBudget, seed: int = 0) -> None:
        if not 0 < false_discovery_rate < 1:
            raise ValueError(
                "Expected `false_discovery_rate` to be between 0 and 1, or None where no label is to be judged, "
                f"but got {false_discovery_rate}."
            )
        if untrained_networks < 0 or untrained_networks == 1:
            raise ValueError(
                "Expected `untrained_networks` to be 0 or at least 2, since some of them say what images look like "
                f"without training and the others are compared with, but got {untrained_networks}."
            )
        self.false_discovery_rate = false_discovery_rate
        self._copies = untrained_networks
        self._budget = budget
        self._seed = seed
        self._networks: UntrainedNetworks | None = None
        self._model: weakref.ref[nn.Module] | None = None
        self._learned: _Learned | None = None

    @property
    def basis(self) -> str:
        """What labels are held against, for people."""
        if not self._copies:
            return "chance"
        learned = self._learned or _Learned()
        if learned.failure is not None:
            return f"chance alone: {learned.failure}"
        missing = "; ".join(f"{layer}: {reason}" for layer, reason in learned.missing.items())
        exceptions = f", but chance alone in {missing}" if missing else ""
        return f"chance and {self._copies} untrained networks{exceptions}"

    @property
    def settings(self) -> dict[str, str]:
        """What verdicts depend on, for people."""
        return {"false-discovery rate": f"{self.false_discovery_rate:g}, against {self.basis}"}

    def attach(self, model: nn.Module, select: Callable[[nn.Module], Mapping[str, SelectedLayer]]) -> None:
        """Have untrained copies run along with a model, unless it is the one whose floors are known.

        Args:
            model: The model that is dissected.
            select: Chooses the layers of the model and of each copy, as `select_layers` does.

        """
        self.detach()
        is_known = self._learned is not None and self._model is not None and self._model() is model
        if self._copies and not is_known:
            self._model, self._learned = weakref.ref(model), None
            storage = ActivationStorage(self._budget.work)
            self._networks = UntrainedNetworks(model, select, copies=self._copies, seed=self._seed, storage=storage)
            self._networks.attach()

    def detach(self) -> None:
        """Let go of the copies, not of what they said; harmless if there are none."""
        if self._networks is not None:
            self._networks.close()

    def start_batch(self, sample_ids: Tensor) -> None:
        """Announce the images of the next forward pass; see `UntrainedNetworks.start_batch`."""
        if self._networks is not None:
            self._networks.start_batch(sample_ids)

    def end_batch(self, keep: Tensor) -> None:
        """Keep what the copies said of the batch; see `UntrainedNetworks.end_batch`."""
        if self._networks is not None:
            self._networks.end_batch(keep)

    def learn(self, concept_matrix: ConceptMatrix, row_ids: Tensor, layers: Sequence[str], peers: Peers) -> None:
        """Make the floors of all layers, the same on every process, and let go of the copies.

        Args:
            concept_matrix: Image-text similarities, shape ``(images, concepts)``; another object stands for other
                images or concepts.
            row_ids: Sample id of each row, shape ``(images,)``.
            layers: The layers that are labelled.
            peers: The processes; each must call this.

        """
        if not self._copies:
            return
        if self._learned is None:
            learned = self._from_copies(concept_matrix, row_ids, layers, peers)
            self._learned = replace(learned, concept_matrix=concept_matrix)
        elif self._learned.floors and concept_matrix is not self._learned.concept_matrix:
            self._learned = _Learned(failure="The images or concepts are no longer those of the first dissection.")
        else:
            return
        if peers.rank == 0:
            _warn_of(self._learned)

    def floor(self, layer: str, concept_matrix: ConceptMatrix) -> UntrainedFloor | None:
        """Return what to hold a layer against beside chance; `basis` says why a layer has nothing.

        Args:
            layer: Name of the layer.
            concept_matrix: What it is labelled with; the floor holds for the images that it was learned on.

        """
        learned = self._learned or _Learned()
        return learned.floors.get(layer) if concept_matrix is learned.concept_matrix else None

    def measured(  # noqa: PLR0917
        self,
        share: NeuronShare,
        scorer: Scorer,
        presence: PresenceSource,
        candidates: Tensor,
        best: Tensor,
        floor: UntrainedFloor | None,
        peers: Peers,
    ) -> TrustColumns:
        """Measure a process's share of a layer, see `measure_trust`.

        Args:
            share: Neurons of the layer, on no fewer than `FEWEST_IMAGES` images.
            scorer: The similarity that chose the labels.
            presence: Presence of the concepts in the images.
            candidates: Candidates of each neuron, shape ``(neurons, candidates)``; -1 where there is none.
            best: Best score of each neuron, shape ``(neurons,)``.
            floor: What to hold the layer against beside chance.
            peers: The processes; each must call this.

        """
        return measure_trust(
            share.activations,
            scorer,
            presence,
            candidates,
            layer_size=share.layer_size,
            first_unit=share.units.start,
            floor=floor,
            best=best,
            over_processes=peers.logsumexp,
            max_bytes=max(1, self._budget.work // 4),
        )

    def verdicts(
        self, neurons: Sequence[NeuronLabel], columns: TrustColumns, floor: UntrainedFloor | None
    ) -> tuple[NeuronLabel, ...]:
        """Return the neurons of a layer with their verdicts.

        Args:
            neurons: All neurons of the layer.
            columns: What was measured of them.
            floor: What they were measured with.

        """
        candidates = [[item.concept for item in neuron.candidates] for neuron in neurons]
        found = columns.table(floor).records(candidates, self.false_discovery_rate)
        return tuple(
            neuron if verdict is None else replace(neuron, status=verdict[0], trust=verdict[1])
            for neuron, verdict in zip(neurons, found, strict=True)
        )

    def _from_copies(
        self, concept_matrix: ConceptMatrix, row_ids: Tensor, layers: Sequence[str], peers: Peers
    ) -> "_Learned":
        """Learn from what the copies said on all processes; if it fails on one of them, no process has learned."""
        networks, self._networks = self._networks, None
        if networks is not None:
            networks.close()
        told = peers.all_gather((_LOST, {}) if networks is None else (networks.failure, networks.layer_failures))
        failures = [failure for failure, _ in told if failure is not None]
        if networks is None or failures:
            return _Learned(failure=failures[0])
        missing = {layer: reason for _, reasons in told for layer, reason in reasons.items() if layer in layers}
        floors = {}
        axes = ConceptAxes(concept_matrix, max_bytes=self._budget.work // 4)
        for layer in layers:
            copies = [self._whole(state, peers) for state in networks.features(layer)]
            try:
                floors[layer] = self._floor_of(axes, copies, row_ids)
            except ValueError as error:
                missing.setdefault(layer, str(error))
        missing = {layer: reason for reasons in peers.all_gather(missing) for layer, reason in reasons.items()}
        return _Learned({layer: floor for layer, floor in floors.items() if layer not in missing}, missing)

    def _floor_of(self, axes: ConceptAxes, copies: Sequence[tuple[Tensor, Tensor]], row_ids: Tensor) -> UntrainedFloor:
        if not all(torch.equal(sample_ids, row_ids) for sample_ids, _ in copies):
            raise ValueError("Expected untrained networks to have called it for every image but some did not.")
        floor = UntrainedFloor(axes, [features for _, features in copies])
        if 1 / (1 + len(floor.null)) > self.false_discovery_rate:
            raise ValueError(
                f"Expected enough units of untrained networks for p-values of {self.false_discovery_rate:g} but got "
                f"{len(floor.null)}. Raise `untrained_networks`."
            )
        return floor

    def _whole(self, state: PooledActivations, peers: Peers) -> tuple[Tensor, Tensor]:
        """Take all units of a copy's layer on all images, as one process would have recorded them."""
        share = exchange_neurons(state, peers, self._budget.work)
        state.reset()
        return share.sample_ids, torch.cat(peers.all_gather(share.activations), dim=1)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_networks": None, "_model": None, "_learned": None}


@dataclass(frozen=True)
class _Learned:
    """The floors by layer, why others have none, why there are none at all, and the matrix of the floors' images."""

    floors: Mapping[str, UntrainedFloor] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    failure: str | None = None
    concept_matrix: ConceptMatrix | None = None


def _warn_of(learned: _Learned) -> None:
    if learned.failure is not None:
        warnings.warn(
            f"Labels are held against chance, not against untrained networks. {learned.failure}", stacklevel=2
        )
    for layer, reason in learned.missing.items():
        warnings.warn(
            f"Labels of {layer!r} are held against chance, not against untrained networks. {reason}", stacklevel=2
        )
