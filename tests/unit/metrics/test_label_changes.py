import pytest
import torch

from lightning_dissect.metrics import extra_labels, missing_labels


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("kept", [0.33, 0.5, 0.75])
def test_missing_labels_keep_a_share_as_it_is(kept):
    presence = torch.rand(20_000, 3, generator=seeded())
    spoilt = missing_labels(presence, kept, seeded(1))
    stays = spoilt != 0
    torch.testing.assert_close(stays.double().mean(dim=0), torch.full((3,), kept).double(), atol=0.015, rtol=0)
    assert torch.equal(spoilt[stays], presence[stays])


@pytest.mark.parametrize("growth", [1.33, 2.0, 3.0])
@pytest.mark.parametrize("frequency", [0.001, 0.1, 0.3])
def test_extra_labels_multiply_their_number(growth, frequency):
    images = 200_000
    labels = (torch.arange(images) < frequency * images).float()[:, None]
    spoilt = extra_labels(labels, growth, seeded())
    assert (spoilt >= labels).all()
    assert spoilt.sum().item() == pytest.approx(growth * frequency * images, rel=0.1 if frequency < 0.01 else 0.02)


def test_extra_labels_of_a_presence_that_is_a_probability():
    presence = torch.full((100_000, 1), 0.2)
    spoilt = extra_labels(presence, 2.0, seeded())
    assert set(spoilt.unique().tolist()) == {presence[0, 0].item(), 1.0}
    assert (spoilt == 1).double().mean().item() == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize("share", [0.5, 0.7, 1.0])
def test_a_concept_in_half_of_the_images_or_more_is_everywhere(share):
    labels = (torch.arange(10) < share * 10).float()[:, None]
    assert torch.equal(extra_labels(labels, 2.0, seeded()), torch.ones(10, 1))


def test_an_absent_concept_stays_absent():
    assert not extra_labels(torch.zeros(10, 2), 2.0, seeded()).any()


@pytest.mark.parametrize(("spoil", "share"), [(missing_labels, 0.5), (extra_labels, 2.0)])
def test_seeds_reproduce(spoil, share):
    presence = torch.rand(50, 4, generator=seeded()) / 10
    assert torch.equal(spoil(presence, share, seeded(1)), spoil(presence, share, seeded(1)))
    assert not torch.equal(spoil(presence, share, seeded(1)), spoil(presence, share, seeded(2)))


@pytest.mark.parametrize("kept", [0, 1, -0.5, float("nan")])
def test_bad_kept(kept):
    with pytest.raises(ValueError, match="`kept` to be between 0 and 1"):
        missing_labels(torch.ones(3, 1), kept, seeded())


@pytest.mark.parametrize("growth", [1, 0.5, float("inf"), float("nan")])
def test_bad_growth(growth):
    with pytest.raises(ValueError, match="`growth` to be finite and greater than 1"):
        extra_labels(torch.ones(3, 1), growth, seeded())
