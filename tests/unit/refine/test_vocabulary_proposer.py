import time

import pytest
import torch
from torch.nn.functional import normalize

from lightning_dissect.encoders import EmbeddingCache
from lightning_dissect.encoders.minilm import MiniLM
from lightning_dissect.probe import ConceptVocabulary, content_ids, resolve_vocabulary
from lightning_dissect.refine.base import (
    PROPOSERS,
    ConceptProposer,
    ImagePool,
    NeedsSurroundings,
    ProposalRequest,
    ScoredName,
    Surroundings,
)
from lightning_dissect.refine.concept_names import canonical, is_repeat
from lightning_dissect.refine.vocabulary_proposer import VocabularyProposer

IMAGES = torch.arange(4, dtype=torch.uint8).view(4, 1, 1, 1).expand(4, 3, 2, 2)
POOL = ImagePool(IMAGES, content_ids(IMAGES))
KINDS = {"dog": "beagle husky poodle", "cat": "tabby siamese lion", "tool": "hammer saw wrench", "fruit": "apple pear"}
PARENTS = {word: kind for kind, words in KINDS.items() for word in words.split()} | {"dog": "animal", "cat": "animal"}
WORDS = [*KINDS, *(word for words in KINDS.values() for word in words.split()), "red", "cloud"]


class Kinds:
    """Embeds a word near its kind, and a text of several words between them."""

    temperature = 1.0

    def __init__(self):
        self.asked = []

    def encode_images(self, images):
        return torch.ones(len(images), 2)

    def encode_texts(self, texts):
        self.asked += texts
        return normalize(
            torch.stack([torch.stack(list(map(self.place, text.split()))).mean(dim=0) for text in texts]), dim=1
        )

    def place(self, word):
        seed = torch.Generator().manual_seed(sum(ord(letter) * 31**place for place, letter in enumerate(word)))
        own = torch.randn(32, generator=seed)
        return own if word not in PARENTS else self.place(PARENTS[word]) + 0.5 * own

    def fingerprint(self):
        return "kinds"


def entered(words=WORDS, hierarchy=None, own=("dog", "hammer", "cloud"), **settings):
    cache = EmbeddingCache(Kinds())
    proposer = VocabularyProposer(ConceptVocabulary(tuple(words), hierarchy=hierarchy), **settings)
    proposer.enter(Surroundings(ConceptVocabulary(own, templates=("{}", "a {}")), POOL, cache))
    return proposer


TREE = {word: (kind,) for word, kind in PARENTS.items()}


def request(scores, count=3, step=1, tried=(), **changes):
    scored = tuple(ScoredName(name, score) for name, score in sorted(scores.items(), key=lambda item: -item[1]))
    return ProposalRequest(scored, (*scores, *tried), step, count, **changes)


def test_fulfils_the_protocols_and_is_registered():
    proposer = PROPOSERS.resolve("vocabulary:imagenet")
    assert isinstance(proposer, ConceptProposer)
    assert isinstance(proposer, NeedsSurroundings)
    assert proposer.words == resolve_vocabulary("imagenet")
    assert PROPOSERS.resolve("vocabulary:common:50").words.name == "common:50"


def test_near_words_climb_towards_what_activates():
    answer = entered().propose(request({"beagle": 3.0, "hammer": 0.1, "cloud": 0.0, "apple": 0.2}, count=2))
    assert set(answer.concepts) <= {"dog", "husky", "poodle"}
    assert answer.answer == "near, near"


def test_combinations_are_of_the_best_that_are_unlike_each_other():
    scores = {"beagle": 3.0, "husky": 2.9, "hammer": 2.8, "cloud": 0.0}
    answer = entered().propose(request(scores))
    assert answer.concepts[2] == "beagle and hammer"
    assert answer.answer == "near, near, combination"
    again = entered().propose(request(scores, tried=["Hammers and beagles"]))
    assert again.concepts[2] == "husky and hammer"
    assert "red hammer" in entered().propose(request({"hammer": 2.0, "red": 1.0})).concepts


def test_relatives_are_parents_children_or_siblings():
    proposer = entered(hierarchy=TREE)
    answer = proposer.propose(request({"dog": 3.0, "hammer": 2.0, "cloud": 0.0}, step=2))
    assert answer.answer == "near, relative, combination"
    assert answer.concepts[1] in {"beagle", "husky", "poodle", "cat", "animal"}
    lonely = proposer.propose(request({"cloud": 3.0, "red": 2.0, "dog": 0.0}, step=2))
    assert lonely.concepts[1] in {"beagle", "husky", "poodle", "cat", "animal"}
    assert proposer.propose(request({"cloud": 3.0, "red": 2.0}, 2, step=3)).answer == "combination, near"


def test_what_a_way_does_not_yield_is_taken_from_the_near_words():
    answer = entered().propose(request({"cloud": 3.0}, count=6))
    assert answer.answer == "near, near, near, near, " + "near, near"
    assert len(set(answer.concepts)) == 6


@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("hierarchy", [None, TREE])
@pytest.mark.parametrize("is_summary", [False, True])
def test_there_always_are_as_many_as_wanted_and_none_comes_twice(count, hierarchy, is_summary):
    proposer = entered(hierarchy=hierarchy)
    scores = {"Beagles": 3.0, "hammer": 1.0, "sky variant": 0.5}
    known = list(scores)
    for step in range(1, 1 + 12 // count):
        answer = proposer.propose(request(scores, count, step, known, is_summary=is_summary))
        assert len(answer.concepts) == count
        assert answer.outcome == "scored"
        for concept in answer.concepts:
            assert not is_repeat(concept, known)
            known.append(concept)


def test_the_end_of_the_words_is_told():
    proposer = entered(words=["dog", "cat"], own=("dog",))
    rest = proposer.propose(request({"dogs": 1.0}, count=5))
    assert rest.concepts == ("cat",)
    nothing = proposer.propose(request({"dogs": 1.0}, tried=["Cats"]))
    assert (nothing.concepts, nothing.outcome) == ((), "refused")


@pytest.mark.parametrize("is_summary", [False, True])
@pytest.mark.parametrize("scored", [(), (ScoredName("beagle", float("nan")),)])
def test_without_scores_there_still_are_words(is_summary, scored):
    assert len(entered().propose(ProposalRequest(scored, ("dog",), 1, 4, is_summary)).concepts) == 4


def test_a_summary_is_the_smallest_common_superclass():
    proposer = entered(hierarchy=TREE)
    scores = {"beagle": 3.0, "husky": 2.9, "poodle": 2.0, "apple": 0.1}
    assert proposer.propose(request(scores, count=2, is_summary=True)).concepts == ("dog", "animal")
    assert proposer.propose(request(scores, 1, tried=["dogs"], is_summary=True)).concepts == ("animal",)


def test_a_summary_says_more_than_that_it_is_something():
    everything = {word: (PARENTS.get(word, "thing"), "thing") for word in WORDS}
    proposer = entered(hierarchy=everything)
    answer = proposer.propose(request({"beagle": 3.0, "hammer": 2.0}, 1, is_summary=True))
    assert answer.concepts != ("thing",)


@pytest.mark.parametrize("hierarchy", [None, TREE])
def test_without_a_common_superclass_a_summary_is_the_word_nearest_to_the_mean(hierarchy):
    proposer = entered(hierarchy=hierarchy)
    scores = {"tabby": 2.0, "siamese": 2.0, "unheard of": 0.0} if hierarchy else {"tabby": 2.0, "siamese": 2.0}
    assert proposer.propose(request(scores, 1, is_summary=True)).concepts == ("cat",)


def test_concepts_that_left_the_request_count_as_the_worst_of_it():
    scores = {"beagle": 1.0, "hammer": 0.9, "cloud": 0.0}
    plain = entered().propose(request(scores, 1)).concepts
    warned = entered().propose(request(scores, 1, tried=["husky", "poodle", "dog", "lion", "cat"])).concepts
    assert plain[0] in {"dog", "husky", "poodle"}
    assert warned[0] in {"saw", "wrench", "tool"}


def test_equal_requests_get_equal_answers():
    one = request({"beagle": 3.0, "hammer": 2.0, "cloud": 0.5}, count=6)
    assert entered(hierarchy=TREE).propose(one) == entered(hierarchy=TREE).propose(one)


def test_the_fingerprint_holds_all_that_answers_depend_on():
    keys = [
        entered().fingerprint(),
        entered(words=[word for word in WORDS if word != "red"]).fingerprint(),
        entered(hierarchy=TREE).fingerprint(),
        entered(exploration=1.0).fingerprint(),
    ]
    assert entered().fingerprint() == keys[0]
    assert len(set(keys)) == 4


def test_words_are_embedded_once():
    cache = EmbeddingCache(Kinds())
    surroundings = Surroundings(ConceptVocabulary(("dog", "cloud")), POOL, cache)
    for _ in range(2):
        proposer = VocabularyProposer(WORDS)
        proposer.enter(surroundings)
        proposer.propose(request({"dog": 1.0, "cloud": 0.0}))
    assert sorted(cache.encoder.asked) == sorted(WORDS)


def test_the_vocabulary_of_the_labels_takes_part_and_serves_where_there_is_no_other(monkeypatch):
    monkeypatch.setattr("lightning_dissect.refine.vocabulary_proposer.find_spec", lambda name: None)
    proposer = VocabularyProposer()
    proposer.enter(Surroundings(ConceptVocabulary(("dog", "cloud", "tool")), POOL, EmbeddingCache(Kinds())))
    assert set(proposer.propose(request({"dog": 1.0}, count=5)).concepts) == {"cloud", "tool"}


def test_wordnet_is_the_vocabulary_where_timm_is_installed(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "lightning_dissect.refine.vocabulary_proposer.resolve_vocabulary",
        lambda words: asked.append(words) or ConceptVocabulary(tuple(WORDS)),
    )
    proposer = VocabularyProposer()
    proposer.enter(Surroundings(ConceptVocabulary(("dog",)), POOL, EmbeddingCache(Kinds())))
    assert asked == ["wordnet"]


@pytest.mark.parametrize("ask", [lambda one: one.propose(request({"dog": 1.0})), VocabularyProposer.fingerprint])
def test_it_has_to_enter_first(ask):
    with pytest.raises(RuntimeError, match="`enter` to be called"):
        ask(VocabularyProposer(WORDS))


def test_it_needs_an_encoder():
    with pytest.raises(ValueError, match="embeddings of an encoder but there is none"):
        VocabularyProposer(WORDS).enter(Surroundings(ConceptVocabulary(("dog",)), POOL, None))


def test_settings_are_checked():
    with pytest.raises(ValueError, match="`exploration` to be greater than 0"):
        VocabularyProposer(WORDS, exploration=0)
    with pytest.raises(ValueError, match="`vocabulary` to be one of"):
        VocabularyProposer("wordnett")


class Sentences:
    """The real text tower alone."""

    temperature = 1.0

    def __init__(self):
        self.tower = MiniLM().eval()

    def encode_images(self, images):
        return torch.ones(len(images), 384)

    def encode_texts(self, texts):
        return normalize(self.tower.encode(texts), dim=1)

    def fingerprint(self):
        return "sentences"


def found_within(proposer, cache, own, target, seed, *, steps=10, count=3, drawn=None):
    """Search for a word whose embedding is the score, noise of 0.05 aside, from the labels that fit best and others."""
    generator = torch.Generator().manual_seed(seed)
    direction = cache.text_embeddings([target])[0]

    def score(name):
        return float(cache.text_embeddings([name])[0] @ direction + 0.05 * torch.randn((), generator=generator))

    order = (cache.text_embeddings(own) @ direction).argsort(descending=True).tolist()
    start = [own[place] for place in (*order[:6], *torch.randperm(len(own), generator=generator)[:5].tolist())]
    scores = {name: score(name) for name in start if canonical(name) != canonical(target)}
    for step in range(1, steps + 1):
        best = dict(sorted(scores.items(), key=lambda item: -item[1])[:40])
        answer = drawn(count, generator) if drawn else proposer.propose(request(best, count, step, scores)).concepts
        if canonical(target) in map(canonical, answer):
            return True
        scores |= {name: score(name) for name in answer}
    return False


@pytest.mark.offline_weights
@pytest.mark.parametrize(
    ("words", "targets"), [pytest.param(1200, 20, id="some"), pytest.param(None, 30, id="all", marks=pytest.mark.slow)]
)
def test_hidden_words_are_found_within_ten_steps(words, targets):
    cache, own = EmbeddingCache(Sentences()), resolve_vocabulary("wordnet:1k").concepts
    own = own if words is None else own[:300]
    others = [word for word in resolve_vocabulary("wordnet").concepts if word not in own]
    order = torch.randperm(len(others), generator=torch.Generator().manual_seed(0)).tolist()
    vocabulary = [others[place] for place in order[:words]]
    proposer = VocabularyProposer(vocabulary)
    proposer.enter(Surroundings(ConceptVocabulary(own), POOL, cache))

    def drawn(count, generator):
        return [vocabulary[place] for place in torch.randint(len(vocabulary), (count,), generator=generator).tolist()]

    hidden = list(enumerate(vocabulary[:targets]))
    found = sum(found_within(proposer, cache, own, target, seed) for seed, target in hidden)
    by_chance = sum(found_within(proposer, cache, own, target, seed, drawn=drawn) for seed, target in hidden)
    assert found >= targets / 2
    assert by_chance <= targets / 5


def test_a_proposal_over_many_words_takes_milliseconds():
    class Noise(Kinds):
        def encode_texts(self, texts):
            return normalize(torch.randn(len(texts), 768, generator=torch.Generator().manual_seed(len(texts))), dim=1)

    words = [f"word{number:x}x" for number in range(20_000)]
    proposer = VocabularyProposer(words)
    proposer.enter(Surroundings(ConceptVocabulary(tuple(words[:10])), POOL, EmbeddingCache(Noise())))
    one = request({word: number / 40 for number, word in enumerate(words[:40])})
    proposer.propose(one)
    took = []
    for _ in range(5):
        started = time.perf_counter()
        proposer.propose(one)
        took.append(time.perf_counter() - started)
    assert min(took) < 0.2
