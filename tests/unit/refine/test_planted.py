import pytest
import torch
from scipy.stats import kstest

from lightning_dissect.refine import PlantedNetwork, PlantedUnit


def images(count=500, side=6):
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(0))


def evidence(batch):
    return batch[:, :, 0, 0]


def activations(*units, noise=0.0, batch=None):
    planted = [PlantedUnit(unit.split()[0], tuple(unit.split()[1:])) for unit in units]
    return PlantedNetwork(evidence, ["a", "b", "c"], planted, noise)(images() if batch is None else batch)


def test_units_do_what_they_are_planted_for():
    a, b, _ = evidence(images()).T
    found = activations("single a", "or a b", "and a b", "not b", "dead").T
    for values, expected in zip(found, (a, a.maximum(b), a.minimum(b), 1 - b, torch.zeros(500)), strict=True):
        torch.testing.assert_close(values, expected)


def test_colours_and_texture():
    red = torch.zeros(1, 3, 6, 6)
    red[:, 0] = 1
    chequered = torch.ones(1, 3, 6, 6) * ((torch.arange(6)[:, None] + torch.arange(6)) % 2)
    found = activations("colour red", "colour green", "colour white", "texture", batch=torch.cat([red, chequered]))
    torch.testing.assert_close(found[0], torch.tensor([1, -0.5, 1 / 3, 0]))
    assert found[1, 3] == 2
    torch.testing.assert_close(found[1, 0], torch.tensor(0.0))


def test_random_units_have_nothing_to_do_with_the_image_nor_with_each_other():
    found = activations(*["random"] * 40)
    assert kstest(found.flatten().numpy(), "norm").pvalue > 0.01
    together = torch.cat([found, images().flatten(1)], dim=1)
    assert torch.corrcoef(together.T)[:40].fill_diagonal_(0).abs().max() < 0.25


def test_random_units_say_the_same_of_an_image_in_any_batch_and_another_of_its_neighbour():
    batch = images(8)
    whole = activations("random", noise=0.5, batch=batch)
    assert torch.equal(whole, torch.cat([activations("random", batch=part) for part in batch.split(3)]))
    near = batch.clone()
    near[:, 0, 2, 2] = (near[:, 0, 2, 2] + 0.5) % 1
    assert ((activations("random", batch=near) - whole).abs() > 1e-3).all()


def test_noise_is_as_deaf_as_a_random_unit_and_spares_the_dead():
    clean, noisy = activations("single a", "dead"), activations("single a", "dead", noise=0.5)
    assert (noisy - clean)[:, 0].std().item() == pytest.approx(0.5, rel=0.1)
    assert not noisy[:, 1].any()


@pytest.mark.parametrize(
    "unit", ["single", "or a", "and a b c", "dead a", "random a", "texture red", "colour pink", "xor a b"]
)
def test_units_that_make_no_sense_are_refused(unit):
    with pytest.raises(ValueError, match="Expected"):
        activations(unit)


def test_a_concept_without_evidence_is_refused():
    with pytest.raises(ValueError, match=r"none of \['d'\]"):
        activations("single d")
