"""What real images say of concepts that were found by others: how far they reach, and how many meanings they are."""

import math
from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from lightning_dissect.label_refinement import ConceptTrial, Sense
from lightning_dissect.refine.bank import ConceptBank
from lightning_dissect.refine.base import Surroundings
from lightning_dissect.refine.embedded_pool import EmbeddedPool
from lightning_dissect.refine.senses import find_senses
from lightning_dissect.standardise import standardised_columns


class RealImages:
    """Holds a neuron's activations on the search half of the pool against what an encoder sees there.

    Without an encoder it has nothing to say.

    Args:
        bank: Activations of all neurons on the pool.
        surroundings: The pool, the vocabulary with its prompts, and the encoder's embeddings.

    """

    def __init__(self, bank: ConceptBank, surroundings: Surroundings) -> None:
        self._bank = bank
        self._surroundings = surroundings
        self._concepts: dict[str, Tensor] = {}

    def correlations(self, layer: str, unit: int, concepts: Sequence[str]) -> list[float]:
        """Return the correlation of a neuron with the similarity of each concept, NaN where it is undefined.

        Mean activations on images of a concept cannot tell a label that is too narrow; the correlation over all images
        can.

        Args:
            layer: Name of the layer.
            unit: Index of the neuron within it.
            concepts: The concepts.

        """
        if self._embedded is None:
            return [math.nan] * len(concepts)
        columns = torch.cat([self._activations(layer, unit)[:, None], self._similarities(concepts)], dim=1)
        standardised = standardised_columns(columns.double())
        return (standardised[:, 1:].T @ standardised[:, 0]).tolist()

    def senses(self, layer: str, unit: int, trials: Sequence[ConceptTrial]) -> tuple[Sense, ...]:
        """Return the meanings of a neuron, see `find_senses`; none without an encoder or a scored concept.

        Args:
            layer: Name of the layer.
            unit: Index of the neuron within it.
            trials: The concepts that were tried.

        """
        scored = [trial for trial in trials if trial.outcome == "scored"]
        if self._embedded is None or not scored:
            return ()
        concepts = [trial.concept for trial in scored]
        return find_senses(
            concepts,
            torch.tensor([trial.score for trial in scored]),
            text_embeddings=torch.stack([self._embedding(concept) for concept in concepts]),
            similarities=self._similarities(concepts),
            activations=self._activations(layer, unit),
            image_ids=torch.tensor(self._ids),
        )

    @cached_property
    def _embedded(self) -> EmbeddedPool | None:
        around = self._surroundings
        return None if around.cache is None else EmbeddedPool(around.pool, around.cache, around.vocabulary)

    @cached_property
    def _ids(self) -> list[int]:
        pool = self._surroundings.pool
        return sorted(pool.content_ids[pool.rows("search")].tolist())

    def _activations(self, layer: str, unit: int) -> Tensor:
        return self._bank.activations(layer, self._ids)[:, unit]

    def _embedding(self, concept: str) -> Tensor:
        if concept not in self._concepts and self._embedded is not None:
            self._concepts[concept] = self._embedded.concept(concept)
        return self._concepts[concept]

    def _similarities(self, concepts: Sequence[str]) -> Tensor:
        """Return the cosine of each image of the half with each concept, in the order of the ids."""
        if self._embedded is None:
            return torch.empty(len(self._ids), 0)
        return self._embedded.embeddings["search"] @ torch.stack([self._embedding(name) for name in concepts]).T
