"""What real images say of a neuron: which concept is its answer, what is still missing, and what its meanings are."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from itertools import chain

import torch
from torch import Tensor

from lightning_dissect.label_refinement import ConceptTrial, Sense
from lightning_dissect.refine.bank import ConceptBank
from lightning_dissect.refine.base import Surroundings
from lightning_dissect.refine.concept_names import KnownConcepts, joined
from lightning_dissect.refine.embedded_pool import EmbeddedPool
from lightning_dissect.refine.kinds import Kinds
from lightning_dissect.refine.senses import SHARE, find_senses, shown_images
from lightning_dissect.refine.widest import widest_as_good
from lightning_dissect.standardise import standardised_columns

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

    def answer(self, layer: str, unit: int, names: Sequence[str]) -> str:
        """Return the best of concepts that activate a neuron, of what *and* joins in them and of what is above them.

        See `widest_as_good`. Where there is no encoder to tell, it is the one with fewest words.

        Args:
            layer: Name of the layer.
            unit: Index of the neuron within it.
            names: The concepts, at least one, the best first.

        """
        if self._embedded is None:
            return min(names, key=lambda name: len(name.split()))
        return self._widest(self._embedded.kinds, names, self._activations(layer, unit))

    def unexplained(self, layer: str, unit: int, trials: Sequence[ConceptTrial]) -> str | None:
        """Return the word that a neuron follows best over the images that show none of its meanings found so far.

        Args:
            layer: Name of the layer.
            unit: Index of the neuron within it.
            trials: The concepts that were tried.

        Returns:
            A word that was not tried; ``None`` if what the neuron does there may as well be noise.

        """
        scored = [trial for trial in trials if trial.outcome == "scored"]
        best = max((trial.score for trial in scored), default=0.0)
        if self._embedded is None or best <= 0:
            return None
        meanings = [trial.concept for trial in scored if trial.score >= SHARE * best]
        tried = KnownConcepts(trial.concept for trial in trials)
        names = self._embedded.kinds.names
        follows = self._errors_above_chance(self._activations(layer, unit), ~self._shown(meanings))
        for place in follows.argsort(descending=True, stable=True).tolist():
            name: str = names[place]
            if not follows[place] >= NOISE_ERRORS:
                break
            if name not in tried:
                return name
        return None

    def senses(self, layer: str, unit: int, trials: Sequence[ConceptTrial]) -> tuple[Sense, ...]:
        """Return the meanings of a neuron, see `find_senses`; none without an encoder or a scored concept.

        Each is told first by the best of its concepts and of the superclasses above them, over the images that show no
        other meaning, see `answer`.

        Args:
            layer: Name of the layer.
            unit: Index of the neuron within it.
            trials: The concepts that were tried.

        """
        scored = [trial for trial in trials if trial.outcome == "scored"]
        if self._embedded is None or not scored:
            return ()
        concepts = [trial.concept for trial in scored]
        activations = self._activations(layer, unit)
        found = find_senses(
            concepts,
            torch.tensor([trial.score for trial in scored]),
            errors=torch.tensor([trial.standard_error for trial in scored]),
            text_embeddings=torch.stack([self._embedding(concept) for concept in concepts]),
            similarities=self._similarities(concepts),
            activations=activations,
            image_ids=torch.tensor(self._ids),
        )
        named = []
        for sense in found:
            others = [concept for other in found if other is not sense for concept in other.concepts]
            name = self._widest(self._embedded.kinds, sense.concepts, activations, others)
            named.append(replace(sense, concepts=tuple(dict.fromkeys([name, *sense.concepts]))))
        return tuple(named)

    def _widest(self, kinds: Kinds, names: Sequence[str], activations: Tensor, others: Sequence[str] = ()) -> str:
        """Return the best of some concepts, of what is joined in them and of what is above them.

        Images that show others do not count, unless too few are left to tell.
        """
        parts = [part for name in names for part in joined(name)]
        candidates = list(dict.fromkeys([*names, *parts, *chain.from_iterable(map(kinds.above, parts))]))
        rest = ~self._shown(others)
        rows = rest if rest.sum() >= LEAST_IMAGES else torch.ones_like(rest)
        return widest_as_good(candidates, activations[rows], self._similarities(candidates)[rows], kinds.above)

    def _shown(self, concepts: Sequence[str]) -> Tensor:
        return shown_images(self._similarities(concepts))

    def _errors_above_chance(self, activations: Tensor, rows: Tensor) -> Tensor:
        """Return the correlation with each word over some images, in standard errors, shape ``(words,)``."""
        left = standardised_columns(activations[rows, None]).squeeze(1)
        if self._embedded is None or len(left) < LEAST_IMAGES or not left.isfinite().all():
            return torch.zeros(0)
        towards = left.float() @ self._embedded.embeddings["search"][rows]
        return self._embedded.named @ towards / self._embedded.spreads

    @cached_property
    def _embedded(self) -> EmbeddedPool | None:
        around = self._surroundings
        return None if around.cache is None else EmbeddedPool.of(around, None, "What real images say")

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
        if self._embedded is None or not concepts:
            return torch.empty(len(self._ids), 0)
        return self._embedded.embeddings["search"] @ torch.stack([self._embedding(name) for name in concepts]).T
