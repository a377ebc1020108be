"""What real images say of concepts that were found by others: how far they reach, and how many meanings they are."""

import math
from collections.abc import Sequence
from functools import cached_property
from itertools import chain

import torch
from torch import Tensor

from lightning_dissect.label_refinement import ConceptTrial, Sense
from lightning_dissect.refine.bank import ConceptBank
from lightning_dissect.refine.base import Surroundings
from lightning_dissect.refine.concept_names import canonical, joined
from lightning_dissect.refine.embedded_pool import EmbeddedPool
from lightning_dissect.refine.senses import SHARE, find_senses, shown_images
from lightning_dissect.standardise import standardised_columns

CLIMB_ERRORS = 0.5
"""Standard errors by which a neuron may follow a superclass less than the best concept below it."""
NOISE_ERRORS = 4.0
"""Standard errors of a correlation that the best of thousands of concepts reaches by chance at most."""
LEAST_IMAGES = 8
"""Images from which on a correlation says something."""


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

    def answer(self, layer: str, unit: int, names: Sequence[str]) -> str:
        """Return the best of concepts that activate a neuron, or of the superclasses above them.

        It is the one that the neuron follows best over all images, or the highest superclass above it that the neuron
        follows as well, but for `CLIMB_ERRORS` standard errors: what images of a concept say of a neuron does not tell
        a concept that is too narrow. Where there is no encoder to tell, it is the one with fewest words.

        Args:
            layer: Name of the layer.
            unit: Index of the neuron within it.
            names: The concepts, at least one, the best first.

        """
        if self._embedded is None:
            return min(names, key=lambda name: len(name.split()))
        above = self._embedded.kinds.above
        parts = [part for name in names for part in joined(name)]
        candidates = list(dict.fromkeys([*names, *parts, *chain.from_iterable(map(above, parts))]))
        activations = standardised_columns(self._activations(layer, unit)[:, None].double())
        products = activations * standardised_columns(self._similarities(candidates).double())
        correlations = products.sum(dim=0).nan_to_num(nan=-1)

        def follows_as_well(place: int) -> bool:
            difference = products[:, best] - products[:, place]
            return bool(difference.sum() <= CLIMB_ERRORS * len(difference) ** 0.5 * difference.std())

        best = int(correlations.argmax())
        single = max((place for place, name in enumerate(candidates) if joined(name) == (name,)), key=correlations.__getitem__)
        answer = single if follows_as_well(single) else best
        for name in above(candidates[answer]):
            if not follows_as_well(candidates.index(name)):
                break
            answer = candidates.index(name)
        return candidates[answer]

    def unexplained(self, layer: str, unit: int, trials: Sequence[ConceptTrial]) -> str | None:
        """Return the concept of the vocabulary that a neuron follows best where it shows none of those that were found.

        Args:
            layer: Name of the layer.
            unit: Index of the neuron within it.
            trials: The concepts that were tried.

        Returns:
            A concept that was not tried; ``None`` if what the neuron does there may as well be noise.

        """
        scored = [trial for trial in trials if trial.outcome == "scored"]
        best = max((trial.score for trial in scored), default=0.0)
        found = [trial.concept for trial in scored if trial.score >= SHARE * best]
        if self._embedded is None or best <= 0:
            return None
        rest = ~shown_images(self._similarities(found))
        left = standardised_columns(self._activations(layer, unit)[rest, None].double())
        if len(left) < LEAST_IMAGES or not left.isfinite().all():
            return None
        towards = left.squeeze(1).float() @ self._embedded.embeddings["search"][rest]
        follows = self._embedded.named @ towards / self._spreads
        tried = set(map(canonical, (trial.concept for trial in trials)))
        for place in follows.argsort(descending=True).tolist():
            if follows[place] < NOISE_ERRORS:
                break
            if canonical(self._embedded.kinds.names[place]) not in tried:
                return self._embedded.kinds.names[place]
        return None

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
            errors=torch.tensor([trial.standard_error for trial in scored]),
            text_embeddings=torch.stack([self._embedding(concept) for concept in concepts]),
            similarities=self._similarities(concepts),
            activations=self._activations(layer, unit),
            image_ids=torch.tensor(self._ids),
        )

    @cached_property
    def _embedded(self) -> EmbeddedPool | None:
        around = self._surroundings
        return None if around.cache is None else EmbeddedPool.of(around, None, "What real images say")

    @cached_property
    def _spreads(self) -> Tensor:
        """Standard deviation of the similarity of each name of the vocabulary over the images, shape ``(names,)``."""
        if self._embedded is None:
            return torch.empty(0)
        covariance = self._embedded.embeddings["search"].T.cov(correction=0)
        named = self._embedded.named
        return ((named @ covariance) * named).sum(dim=1).clamp(min=torch.finfo(torch.float32).eps ** 2).sqrt()

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
