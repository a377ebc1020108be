import pytest
import torch

from lightning_dissect.encoders import Distillation


def problem() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(60, 6, generator=generator)
    return inputs, (inputs @ torch.randn(6, 4, generator=generator)).tanh()


def test_learns_the_directions_and_is_seeded() -> None:
    inputs, targets = problem()
    state = torch.get_rng_state()
    distillation = Distillation(epochs=25, batch_size=20)
    with torch.inference_mode():
        projection = distillation.fit(inputs, targets)
    cosines = torch.nn.functional.cosine_similarity(projection(inputs), targets)
    assert cosines.mean() > 0.85
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(projection(inputs), distillation.fit(inputs, targets)(inputs))
    other = Distillation(epochs=25, batch_size=20, seed=1).fit(inputs, targets)
    assert not torch.equal(projection(inputs), other(inputs))


def test_long_targets_weigh_more() -> None:
    inputs, targets = problem()
    inputs = inputs.repeat(2, 1)
    contradictory = torch.cat([targets, -0.1 * targets])
    projection = Distillation(epochs=20, batch_size=20).fit(inputs, contradictory)
    assert torch.nn.functional.cosine_similarity(projection(inputs[:60]), targets).mean() > 0.9


@pytest.mark.parametrize("name", ["epochs", "batch_size", "learning_rate"])
def test_bad_settings_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"Expected `{name}`"):
        Distillation(**{name: 0})
