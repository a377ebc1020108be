from dataclasses import replace

import pytest
import torch

from lightning_dissect.encoders import EmbeddingCache
from lightning_dissect.probe import ConceptVocabulary, content_ids
from lightning_dissect.refine.base import GENERATORS, ImageGenerator, ImagePool, NeedsSurroundings, Surroundings
from lightning_dissect.refine.retrieval import RetrievalGenerator
from tests.helpers.colour_patches import COLOURS, ColourEncoder, patch_scores, patched_images, pool_of


def entered(surroundings, **settings):
    generator = RetrievalGenerator(**settings)
    generator.enter(surroundings)
    return generator


def test_it_is_found_by_name_and_keeps_the_protocols():
    generator = GENERATORS.resolve("retrieval")
    assert isinstance(generator, RetrievalGenerator)
    assert isinstance(generator, ImageGenerator)
    assert isinstance(generator, NeedsSurroundings)


@pytest.mark.parametrize("purpose", ["search", "judging"])
@pytest.mark.parametrize("concept", COLOURS)
def test_images_are_the_best_matches_of_their_half(surroundings, purpose, concept):
    pool, encoder = surroundings.pool, ColourEncoder()
    text = encoder.encode_texts([f"a {concept} patch"])[0]
    similarities = {
        identity: float(encoder.encode_images(pool.images[[row]])[0] @ text)
        for row, identity in enumerate(pool.content_ids.tolist())
        if row in pool.rows(purpose).tolist()
    }
    expected = sorted(similarities, key=lambda identity: (-round(similarities[identity], 6), identity))[:5]
    images = entered(surroundings, share=1.0).generate(concept, 5, purpose)
    assert content_ids(images).tolist() == expected
    assert (patch_scores(images)[:, list(COLOURS).index(concept)] > 0).all()


def test_the_halves_never_meet_whatever_is_asked(surroundings):
    generator = entered(surroundings, share=1.0)
    seen = {purpose: set() for purpose in ("search", "judging")}
    for concept in (*COLOURS, "anything, at all/ELSE"):
        for purpose, ids in seen.items():
            ids.update(content_ids(generator.generate(concept, 1000, purpose)).tolist())
    assert len(seen["search"]) == len(seen["judging"]) == 120
    assert not seen["search"] & seen["judging"]


def test_the_order_of_the_pool_does_not_matter_even_where_images_tie(surroundings):
    order = torch.randperm(240, generator=torch.Generator().manual_seed(3))
    pool = surroundings.pool
    shuffled = replace(surroundings, pool=ImagePool(pool.images[order], pool.content_ids[order]))
    one, other = entered(surroundings, share=1.0), entered(shuffled, share=1.0)
    for purpose in ("search", "judging"):
        assert torch.equal(one.generate("red", 120, purpose), other.generate("red", 120, purpose))
    assert one.fingerprint() == other.fingerprint()


def test_images_that_match_equally_come_by_content_id():
    grey, _ = patched_images(40, share=0.0)
    pool = pool_of(grey)
    vocabulary = ConceptVocabulary(("red",))

    class Blind(ColourEncoder):
        def encode_images(self, images):
            return torch.eye(7)[[0] * len(images)]

    generator = RetrievalGenerator(share=1.0)
    generator.enter(Surroundings(vocabulary, pool, EmbeddingCache(Blind())))
    found = content_ids(generator.generate("red", 20, "search"))
    assert torch.equal(found, pool.content_ids[pool.rows("search")].sort().values)


@pytest.mark.parametrize(
    ("size", "asked", "settings", "got"),
    [
        (600, 50, {}, 6),
        (600, 4, {}, 4),
        (240, 50, {}, 3),
        (4, 50, {}, 2),
        (40, 50, {"least": 7}, 7),
        (40, 50, {"share": 0.5}, 10),
    ],
)
def test_no_more_images_than_a_share_of_the_half(size, asked, settings, got):
    pool = pool_of(patched_images(size)[0])
    surroundings = Surroundings(ConceptVocabulary(("red",)), pool, EmbeddingCache(ColourEncoder()))
    assert len(entered(surroundings, **settings).generate("red", asked, "search")) == got


def test_a_pool_of_ones_own_takes_the_place_of_the_surroundings(surroundings):
    own = pool_of(patched_images(20, seed=9)[0])
    generator = entered(surroundings, pool=own)
    found = content_ids(generator.generate("green", 3, "judging")).tolist()
    assert set(found) <= set(own.content_ids.tolist())
    assert generator.fingerprint() != entered(surroundings).fingerprint()


def test_images_are_embedded_once(surroundings):
    generator = entered(surroundings)
    assert surroundings.cache.encoder.images == 240
    generator.enter(surroundings)
    generator.generate("red", 3, "search")
    assert surroundings.cache.encoder.images == 240


def test_the_fingerprint_tells_settings_and_prompts_apart(surroundings):
    other = replace(surroundings, vocabulary=ConceptVocabulary(("red",)))
    keys = {
        entered(surroundings).fingerprint(),
        entered(surroundings, share=0.5).fingerprint(),
        entered(surroundings, least=4).fingerprint(),
        entered(other).fingerprint(),
    }
    assert len(keys) == 4


def test_without_an_encoder_the_remedy_is_named(surroundings):
    with pytest.raises(ValueError, match="give an `encoder`, or images made by a model: 'diffusion:MODEL'"):
        RetrievalGenerator().enter(replace(surroundings, cache=None))


def test_asking_before_looking_around_is_an_error():
    for ask in (RetrievalGenerator().fingerprint, lambda: RetrievalGenerator().generate("red", 3, "search")):
        with pytest.raises(RuntimeError, match="`enter` to be called first"):
            ask()


@pytest.mark.parametrize("settings", [{"share": 0.0}, {"share": 1.1}, {"share": float("nan")}, {"least": 0}])
def test_arguments_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        RetrievalGenerator(**settings)


def test_a_count_or_concept_that_asks_for_nothing_is_refused(surroundings):
    generator = entered(surroundings)
    with pytest.raises(ValueError, match="`count`"):
        generator.generate("red", 0, "search")
    with pytest.raises(ValueError, match="at least one concept"):
        generator.generate("  ", 3, "search")
