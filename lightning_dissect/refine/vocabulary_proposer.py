"""What to try next without a language model: words near to what activates, relatives of it, and two at once."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import chain

import torch
from torch import Tensor

from lightning_dissect.checks import check_positive
from lightning_dissect.encoders import EmbeddingCache, prompted_embeddings
from lightning_dissect.fingerprint import fingerprint
from lightning_dissect.probe import ConceptHierarchy, ConceptVocabulary, resolve_vocabulary
from lightning_dissect.refine.base import PROPOSERS, Proposal, ProposalRequest, ScoredName, Surroundings
from lightning_dissect.refine.combinations import unlike_pairs
from lightning_dissect.refine.concept_names import KnownConcepts, canonical
from lightning_dissect.refine.score_landscape import ScoreLandscape

WAYS = ("near", "near", "combination", "near", "relative", "combination")
"""Where the concepts of a search come from, in turn.

With ten steps of three concepts from the labels of ImageNet, noise of 0.05 on the cosine and the 40 best concepts in a
request, 93 to 97 % of single nouns of WordNet and 87 % of pairs such as "dog and ball" are found, among 20,000 words;
with the ten best 80 and 87 %. Near words alone find 97 % and no pair; one combination in six finds 70 % of the pairs,
and with the ten best and every second word a relative 70 % of the nouns are found.
"""

_COMBINED = 5
_SUMMED_UP = 3
_REMEMBERED = 100


@PROPOSERS.register("vocabulary")
class VocabularyProposer:
    """Proposes words of a vocabulary that is larger than the one that labels come from.

    No model takes part but the encoder's text embeddings, and nothing is drawn: equal requests get equal answers. Of
    every six concepts three are *near*: the words for which a regression of score on text embedding promises most, with
    a premium for those that it knows little of. One is a *relative* of the best concept, parent, child or sibling, if
    there is a hierarchy. Two are *combinations* of two of the best concepts that are unlike each other, "dog and ball"
    or "red car", which no vocabulary holds. What a way does not yield is taken from the near words.

    To sum up, it names the smallest superclass of the best concepts, else the word nearest to their mean.

    Concepts that were tried but are not among the scored ones of a request are taken to be as good as the worst of
    those. The more scored concepts a request holds, the better: 40 rather than 10.

    Args:
        words: The vocabulary: all that `resolve_vocabulary` takes; ``"vocabulary:wordnet"`` and
            ``"vocabulary:common:20000"`` choose it by name. By default those of the surroundings, else WordNet's nouns
            if timm is installed. The vocabulary of the labels always takes part.
        exploration: Standard deviations of uncertainty that are added to what is expected of a word.

    Raises:
        ValueError:
            If there is no such vocabulary or ``exploration`` is not positive.

    Example:
        >>> from lightning_dissect.probe import content_ids
        >>> from lightning_dissect.refine.base import ImagePool
        >>> class Animals:
        ...     temperature = 1.0
        ...     def encode_images(self, images):
        ...         return torch.ones(len(images), 2)
        ...     def encode_texts(self, texts):
        ...         angles = torch.tensor([["cat", "lion", "dog", "wolf", "car"].index(text) * 0.6 for text in texts])
        ...         return torch.stack([angles.cos(), angles.sin()], dim=1)
        ...     def fingerprint(self):
        ...         return "animals"
        >>> images = torch.arange(4, dtype=torch.uint8).view(4, 1, 1, 1).expand(4, 3, 2, 2)
        >>> pool = ImagePool(images, content_ids(images))
        >>> proposer = VocabularyProposer(["cat", "lion", "dog", "wolf", "car"])
        >>> proposer.enter(Surroundings(ConceptVocabulary(("cat", "dog", "car")), pool, EmbeddingCache(Animals())))
        >>> scored = (ScoredName("dog", 2.0), ScoredName("car", 1.0), ScoredName("cat", 0.0))
        >>> proposer.propose(ProposalRequest(scored, ("dog", "car", "cat"), step=1)).concepts
        ('wolf',)

    References:
        Srinivas et al., Gaussian process optimization in the bandit setting, ICML 2010, for the near words.

    """

    def __init__(
        self, words: str | Sequence[str] | ConceptVocabulary | None = None, *, exploration: float = 0.5
    ) -> None:
        check_positive("exploration", exploration)
        self.words = None if words is None else resolve_vocabulary(words)
        self.exploration = exploration
        self._lexicon: _Lexicon | None = None

    def enter(self, surroundings: Surroundings) -> None:
        """See `NeedsSurroundings.enter`. Embeds the words, each once for all neurons and runs that share the cache.

        Args:
            surroundings: What there is; its first template is what words are put into.

        Raises:
            ValueError:
                If there is no encoder.

        """
        if surroundings.cache is None:
            raise ValueError(
                "Expected `surroundings` to hold the embeddings of an encoder but there is none, since labels come "
                "from annotations. Give an encoder, or another proposer."
            )
        words = self.words or surroundings.words
        if words is None and find_spec("timm"):
            words = resolve_vocabulary("wordnet")
        self._lexicon = _Lexicon.of(replace(surroundings, words=words).lexicon, surroundings.cache)

    def propose(self, request: ProposalRequest) -> Proposal:
        """See `ConceptProposer.propose`.

        Args:
            request: What is known of the neuron.

        Raises:
            RuntimeError:
                If it has not been shown its surroundings.

        """
        lexicon = self._entered()
        known = KnownConcepts([*request.tried, *(one.concept for one in request.scored)])
        free = lexicon.free(known)
        found: dict[str, str] = {}
        for way, names in self._search(lexicon, request, free):
            name = next((name for name in names if name not in known), None)
            if name is None:
                continue
            known.add(name)
            free[lexicon.rows_of(name)] = False
            found[name] = way
            if len(found) == request.count:
                break
        return Proposal(tuple(found), ", ".join(found.values()), "scored" if found else "refused")

    def fingerprint(self) -> str:
        """See `ConceptProposer.fingerprint`.

        Raises:
            RuntimeError:
                If it has not been shown its surroundings.

        """
        return fingerprint(self._entered().fingerprint(), self.exploration, WAYS)

    def _entered(self) -> "_Lexicon":
        if self._lexicon is None:
            raise RuntimeError("Expected `enter` to be called before the proposer is asked, but it was not.")
        return self._lexicon

    def _search(
        self, lexicon: "_Lexicon", request: ProposalRequest, free: Tensor
    ) -> Iterator[tuple[str, Iterator[str]]]:
        """Yield one way after another, with the names that it leads to; words that are no longer free are no names."""
        if request.is_summary:
            yield from (("summary", iter([name])) for name in lexicon.summaries(request.scored[:_SUMMED_UP]))
        value = lexicon.values(request, self.exploration)
        best = [one.concept for one in request.scored[:_COMBINED]]
        ways: dict[str, Callable[[], Iterator[str]]] = {
            "near": lambda: lexicon.best_of(value, free),
            "relative": lambda: lexicon.relatives(best, value, free),
            "combination": lambda: lexicon.combinations(best),
        }
        first = (request.step - 1) * request.count
        for slot in range(request.count):
            way = "near" if request.is_summary else WAYS[(first + slot) % len(WAYS)]
            yield way, ways[way]()
        for _ in range(request.count):
            yield "near", ways["near"]()


@dataclass(frozen=True, eq=False)
class _Lexicon:
    """All words with their embeddings and relations.

    Args:
        names: The words: those of the vocabulary, then superclasses.
        template: What they are put into.
        rows: Rows of the words of one canonical form.
        landscape: Regression over the words.
        hierarchy: Relations of the words, in the same rows.
        cache: Embeddings of texts.

    """

    names: tuple[str, ...]
    template: str
    rows: dict[str, list[int]]
    landscape: ScoreLandscape
    hierarchy: ConceptHierarchy | None
    cache: EmbeddingCache

    @classmethod
    def of(cls, words: ConceptVocabulary, cache: EmbeddingCache) -> "_Lexicon":
        hierarchy = ConceptHierarchy.of(words) if words.hierarchy else None
        names = words.concepts if hierarchy is None else hierarchy.names
        rows: dict[str, list[int]] = {}
        for row, name in enumerate(names):
            rows.setdefault(canonical(name), []).append(row)
        (template,) = words.templates
        landscape = ScoreLandscape(_embeddings(cache, template, names))
        return cls(names, template, rows, landscape, hierarchy, cache)

    def fingerprint(self) -> str:
        parents = () if self.hierarchy is None else map(str, self.hierarchy.parents)
        return fingerprint(self.names, self.template, list(parents), self.cache.origin)

    def rows_of(self, name: str) -> list[int]:
        return self.rows.get(canonical(name), [])

    def free(self, known: KnownConcepts) -> Tensor:
        """Return which words are not known, shape ``(words,)``."""
        free = torch.ones(len(self.names), dtype=torch.bool)
        free[list(chain.from_iterable(self.rows.get(form, ()) for form in known))] = False
        return free

    def values(self, request: ProposalRequest, exploration: float) -> Tensor:
        """Return what each word promises, shape ``(words,)``."""
        scores = {one.concept: one.score for one in request.scored if math.isfinite(one.score)}
        if not scores:
            return torch.zeros(len(self.names))
        forms = set(map(canonical, scores))
        others = [name for name in request.tried[-_REMEMBERED:] if name.strip() and canonical(name) not in forms]
        scores = {**scores, **dict.fromkeys(others, min(scores.values()))}
        embeddings = _embeddings(self.cache, self.template, list(scores))
        known = dict(zip(scores, embeddings, strict=True))
        expected, uncertain = self.landscape.predict(known, torch.tensor(list(scores.values())))
        return expected + exploration * uncertain

    def best_of(self, value: Tensor, free: Tensor) -> Iterator[str]:
        """Yield the free word that promises most, if one is left."""
        if free.any():
            yield self.names[int(value.masked_fill(~free, -torch.inf).argmax())]

    def relatives(self, best: Sequence[str], value: Tensor, free: Tensor) -> Iterator[str]:
        """Yield for each concept that one of its parent, children and siblings which promises most."""
        if self.hierarchy is None:
            return
        for place in chain.from_iterable(map(self.rows_of, best)):
            parent = self.hierarchy.parents[place]
            kin = {*self.hierarchy.children(place), *self.hierarchy.siblings(place), *([parent] if parent >= 0 else [])}
            chosen = torch.zeros_like(free)
            chosen[sorted(kin)] = True
            yield from self.best_of(value, free & chosen)

    def combinations(self, best: Sequence[str]) -> Iterator[str]:
        """Yield two of the best concepts at once, where they are unlike each other."""
        if len(best) > 1:
            embeddings = _embeddings(self.cache, self.template, best)
            yield from unlike_pairs(best, self.landscape.alikeness(embeddings))

    def summaries(self, scored: Sequence[ScoredName]) -> Iterator[str]:
        """Yield the common superclasses, smallest first, then the words around the mean direction, nearest first."""
        if not scored:
            return
        if self.hierarchy is not None:
            yield from map(self.names.__getitem__, self._common_superclasses([one.concept for one in scored]))
        embeddings = _embeddings(self.cache, self.template, [one.concept for one in scored])
        weights = torch.tensor([one.score for one in scored]).clamp(min=torch.finfo(torch.float32).eps)
        around = self.landscape.cosines(weights @ embeddings / weights.sum())
        yield from map(self.names.__getitem__, around.argsort(descending=True, stable=True).tolist())

    def _common_superclasses(self, concepts: Sequence[str]) -> Iterator[int]:
        """Yield what takes in all concepts, but not what takes in more than half of all words and says nothing."""
        hierarchy = self.hierarchy
        places = [self.rows_of(concept)[:1] for concept in concepts]
        if hierarchy is None or len(concepts) < 2 or not all(places):
            return
        all_members = {member for (place,) in places for member in hierarchy.members[place]}
        place = places[0][0]
        while place >= 0 and 2 * len(hierarchy.members[place]) <= hierarchy.num_concepts:
            if all_members <= set(hierarchy.members[place]):
                yield place
            place = hierarchy.parents[place]


def _embeddings(cache: EmbeddingCache, template: str, names: Sequence[str]) -> Tensor:
    """Return embeddings of norm 1 of names in a template, shape ``(names, dimensions)``."""
    return prompted_embeddings(cache, [[template.replace("{}", name) for name in names]])
