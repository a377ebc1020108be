from dataclasses import replace

import pytest
import torch
from torch.nn.functional import normalize

from lightning_dissect.encoders import EmbeddingCache
from lightning_dissect.probe import ConceptVocabulary, content_ids
from lightning_dissect.refine.ablation import ConceptRemover, ablate
from lightning_dissect.refine.base import ImagePool, NeedsSurroundings, Surroundings
from lightning_dissect.refine.concept_check import EncoderCheck
from lightning_dissect.refine.retrieval_remover import RetrievalRemover
from tests.helpers.colour_patches import COLOURS, ColourEncoder, patch_scores, patched_images, pool_of


def entered(surroundings, **settings):
    remover = RetrievalRemover(**settings)
    remover.enter(surroundings)
    return remover


def images_of(removed):
    return [side for pairs in (removed.concept, removed.control) for side in (pairs.with_, pairs.without)]


def test_it_keeps_the_protocols():
    assert isinstance(RetrievalRemover(), ConceptRemover)
    assert isinstance(RetrievalRemover(), NeedsSurroundings)


@pytest.mark.parametrize("colour", COLOURS)
def test_pairs_differ_in_the_concept_and_controls_do_not_show_it(surroundings, colour):
    index = list(COLOURS).index(colour)
    removed = entered(surroundings, absent=0.6).remove(colour, 10)
    shown = [patch_scores(side)[:, index] > 0 for side in images_of(removed)]
    assert len(removed.concept) == len(removed.control) == 10
    assert shown[0].all()
    assert not torch.stack(shown[1:]).any()


def test_the_first_partner_is_the_one_most_alike_but_for_the_concept(surroundings):
    pool, encoder = surroundings.pool, ColourEncoder()
    half = pool.images[pool.rows("judging")]
    embeddings = encoder.encode_images(half).double()
    direction = encoder.encode_texts(["red"])[0].double()
    centred = embeddings - embeddings.mean(dim=0)
    similarity = embeddings @ direction
    image = int(similarity.argmax())
    lacks = similarity <= similarity.quantile(0.6)
    likeness = {}
    for other in range(len(half)):
        one, two = (normalize(centred[row] - (centred[row] @ direction) * direction, dim=0) for row in (image, other))
        if other != image and lacks[other]:
            likeness[other] = float(one @ two)
    found = entered(surroundings, absent=0.6).remove("red", 5).concept
    assert torch.equal(found.with_[0], half[image])
    partner = content_ids(half).tolist().index(int(content_ids(found.without[:1])))
    assert likeness[partner] == pytest.approx(max(likeness.values()), abs=1e-5)


def test_no_image_is_in_two_pairs_and_all_are_of_the_half_that_judges(surroundings):
    removed = entered(surroundings).remove("green", 12)
    judging = set(surroundings.pool.content_ids[surroundings.pool.rows("judging")].tolist())
    for pairs in (removed.concept, removed.control):
        ids = content_ids(torch.cat([pairs.with_, pairs.without])).tolist()
        assert len(set(ids)) == len(ids) == 24
        assert set(ids) <= judging


def test_the_order_of_the_pool_does_not_matter(surroundings):
    order = torch.randperm(240, generator=torch.Generator().manual_seed(2))
    pool = surroundings.pool
    shuffled = entered(replace(surroundings, pool=ImagePool(pool.images[order], pool.content_ids[order])))
    remover = entered(surroundings)
    for one, other in zip(images_of(remover.remove("blue", 8)), images_of(shuffled.remove("blue", 8)), strict=True):
        assert torch.equal(one, other)
    assert remover.fingerprint() == shuffled.fingerprint()


def test_controls_are_drawn_by_concept_and_seed_and_leave_the_random_state_alone(surroundings):
    state = torch.get_rng_state()
    first = entered(surroundings).remove("red", 8).control.with_
    assert torch.equal(first, entered(surroundings).remove("red", 8).control.with_)
    assert not torch.equal(first, entered(surroundings, seed=1).remove("red", 8).control.with_)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("count", "share", "got"), [(50, 0.1, 12), (5, 0.1, 5), (50, 0.001, 0)])
def test_no_more_pairs_than_a_share_of_the_half(surroundings, count, share, got):
    removed = entered(surroundings, share=share).remove("red", count)
    assert len(removed.concept) == len(removed.control) == got


def test_pairs_end_where_partners_do(surroundings):
    assert 0 < len(entered(surroundings, share=0.9).remove("red", 100).concept) < 60


def test_a_pool_of_ones_own_takes_the_place_of_the_surroundings(surroundings):
    own = pool_of(patched_images(40, seed=9)[0])
    removed = entered(surroundings, pool=own).remove("red", 2)
    assert set(content_ids(removed.concept.with_).tolist()) <= set(own.content_ids.tolist())


def test_the_fingerprint_tells_settings_apart(surroundings):
    settings = ({}, {"share": 0.2}, {"absent": 0.5}, {"seed": 3})
    assert len({entered(surroundings, **chosen).fingerprint() for chosen in settings}) == 4


@pytest.mark.parametrize("settings", [{"share": 0.0}, {"share": 1.0}, {"absent": 0.0}, {"absent": 1.5}])
def test_arguments_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        RetrievalRemover(**settings)


def test_what_is_missing_is_named(surroundings):
    with pytest.raises(ValueError, match="Ablation by retrieval ranks images by an encoder"):
        RetrievalRemover().enter(replace(surroundings, cache=None))
    with pytest.raises(RuntimeError, match="`enter` to be called first"):
        RetrievalRemover().remove("red", 3)
    with pytest.raises(ValueError, match="`count`"):
        entered(surroundings).remove("red", 0)


def test_a_unit_misses_its_own_concept_far_more_than_another():
    """Units that see one colour each, a dead one and one that is not finite."""
    images, _ = patched_images(600, seed=11)

    def read(images):
        noise = images.float().mean(dim=(1, 2, 3))[:, None] / 255
        return torch.cat([10 * patch_scores(images)[:, :2] + noise, 0 * noise, noise * torch.nan], dim=1)

    cache = EmbeddingCache(ColourEncoder())
    remover = entered(Surroundings(ConceptVocabulary(tuple(COLOURS)[2:]), pool_of(images), cache), absent=0.6)
    check = EncoderCheck(cache, patched_images(200, seed=12, share=0.05)[0], fall=1.0)
    for colour, unit in (("red", 0), ("green", 1)):
        found = ablate(colour, remover, read, check, scale=read(images).std(dim=0), count=25)
        own, other = found.effects[unit], found.effects[1 - unit]
        assert found.kept >= 15
        assert own.interval[0] > 1
        assert own.p_value < 0.001
        assert own.relative_fall > 0.3
        assert abs(other.effect) < 0.2 * own.effect  # matched images differ in a little more than the concept
        assert [effect.outcome for effect in found.effects[2:]] == ["not scorable"] * 2
