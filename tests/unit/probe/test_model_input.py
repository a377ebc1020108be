import pytest
import torch
from torchvision.transforms import v2

from lightning_dissect.probe import ModelInput, Normalisation, ProbeSet, to_uint8


def photos(*size, seed=0):
    return torch.randint(256, (5, 3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def test_images_of_the_probe_come_back_as_they_were():
    normalisation = Normalisation((0.4, 0.5, 0.6), (0.2, 0.3, 0.4))
    given = normalisation.apply(photos(6, 4) / 255)
    canonical = to_uint8(given, normalisation)
    torch.testing.assert_close(ModelInput((6, 4), normalisation=normalisation)(canonical), given)


@pytest.mark.parametrize("size", [(8, 8), (12, 8), (8, 12), (5, 9), (64, 16)])
def test_other_sizes_are_scaled_until_they_cover_and_cropped_in_the_middle(size):
    flat = torch.full((1, 3, *size), 100, dtype=torch.uint8)
    made = ModelInput((8, 8))(flat)
    assert made.shape == (1, 3, 8, 8)
    torch.testing.assert_close(made, torch.full_like(made, 100 / 255))


def test_scaling_is_that_of_torchvision():
    large = photos(32, 32)
    expected = v2.functional.resize(large, [8, 8], antialias=True) / 255
    torch.testing.assert_close(ModelInput((8, 8))(large), expected)


def test_grey_and_uint8_networks():
    grey = ModelInput((6, 4), channels=1, normalisation=Normalisation((0.5,), (0.5,)))(photos(6, 4))
    assert grey.shape == (5, 1, 6, 4)
    plain = ModelInput((6, 4), dtype=torch.uint8)(photos(6, 4))
    assert torch.equal(plain, photos(6, 4))
    assert ModelInput((6, 4), dtype=torch.float16)(photos(6, 4)).dtype == torch.float16


@pytest.mark.parametrize("normalisation", [None, Normalisation((0.5,), (0.25,))])
def test_a_probe_knows_how_its_images_were_given(normalisation):
    given = photos(6, 4) / 255 if normalisation is None else normalisation.apply(photos(6, 4) / 255)
    probe = ProbeSet([object()], denormalize=normalisation)
    with pytest.raises(ValueError, match="a batch"):
        _ = probe.model_input
    canonical = probe.read_batch(given, 0, 0).images
    torch.testing.assert_close(probe.model_input(canonical), given)


def test_colours_that_are_a_guess_cannot_be_given_back():
    for probe, batch in (
        (ProbeSet([object()]), photos(6, 4) / 25.0),
        (ProbeSet([object()], denormalize=lambda images: images / 2), photos(6, 4) / 255),
    ):
        probe.read_batch(batch, 0, 0)
        with pytest.raises(ValueError, match="`preprocess`"):
            _ = probe.model_input
