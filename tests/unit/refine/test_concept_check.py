import pytest
import torch

from lightning_dissect.encoders import EmbeddingCache
from lightning_dissect.probe import content_ids
from lightning_dissect.refine.ablation import ImagePairs
from lightning_dissect.refine.concept_check import EncoderCheck
from tests.helpers.colour_patches import COLOURS, ColourEncoder, patched_images


def with_and_without(colour):
    """Images that show a colour, and the same with grey in its place."""
    images, shown = patched_images(60, seed=4)
    images = images[shown[:, list(COLOURS).index(colour)]]
    pure = torch.tensor(COLOURS[colour], dtype=torch.uint8).view(1, 3, 1, 1)
    return ImagePairs(images, torch.where((images == pure).all(dim=1, keepdim=True), torch.tensor(120).byte(), images))


@pytest.fixture
def check():
    return EncoderCheck(EmbeddingCache(ColourEncoder()), patched_images(200, share=0.05)[0], fall=1.0)


@pytest.mark.parametrize("colour", COLOURS)
def test_a_colour_that_was_painted_over_is_gone_and_no_other_is(check, colour):
    pairs = with_and_without(colour)
    assert check(colour, pairs).all()
    assert not any(check(other, pairs).any() for other in COLOURS if other != colour)


def test_nothing_is_gone_from_an_image_that_stayed_or_never_showed_it(check):
    pairs = with_and_without("red")
    assert not check("red", ImagePairs(pairs.with_, pairs.with_)).any()
    assert not check("red", ImagePairs(pairs.without, pairs.without)).any()
    assert not check("red", ImagePairs(pairs.without, pairs.with_)).any()


def test_it_is_the_transcription_of_its_two_conditions():
    reference, _ = patched_images(101, seed=7)
    encoder, pairs = ColourEncoder(), with_and_without("blue")
    check = EncoderCheck(EmbeddingCache(encoder), reference, templates=("a {}", "{} paint"), quantile=0.75, fall=1.5)
    direction = encoder.encode_texts(["blue"])[0].double()
    usual = (encoder.encode_images(reference).double() @ direction).sort().values
    expected = []
    for before, after in zip(pairs.with_, pairs.without, strict=True):
        was, now = (float(encoder.encode_images(image[None])[0].double() @ direction) for image in (before, after))
        expected.append(now <= float(usual[75]) and was - now >= 1.5 * float(usual.std()))
    assert check("blue", pairs).tolist() == expected


def test_images_are_embedded_once(check):
    pairs = with_and_without("green")
    check("green", pairs)
    before = check.cache.encoder.images
    check("red", pairs)
    assert check.cache.encoder.images == before
    assert len(set(content_ids(pairs.with_).tolist())) == len(pairs)


@pytest.mark.parametrize(
    ("count", "settings", "message"),
    [(1, {}, "`reference`"), (9, {"quantile": 0.0}, "`quantile`"), (9, {"quantile": 1.0}, "`quantile`"),
     (9, {"fall": 0.0}, "`fall`")],
)  # fmt: skip
def test_arguments_out_of_range_are_refused(count, settings, message):
    with pytest.raises(ValueError, match=message):
        EncoderCheck(EmbeddingCache(ColourEncoder()), patched_images(count)[0], **settings)
