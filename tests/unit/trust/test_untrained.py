import pytest
import torch
from torch import nn

from lightning_dissect.trust import calibrating, has_gathered_statistics, untrained_copy


class WithToken(nn.Module):
    """A class token, a layer scale and a projection, as transformers have them."""

    def __init__(self):
        super().__init__()
        self.token = nn.Parameter(torch.arange(8.0))
        self.scale = nn.Parameter(torch.full((3,), 0.1))
        self.attention = nn.MultiheadAttention(8, 2)


def changed(module, copy):
    return {
        name
        for (name, old), new in zip(module.named_parameters(), copy.parameters(), strict=True)
        if not torch.equal(old, new)
    }


@pytest.fixture
def model():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.9), nn.Conv2d(4, 2, 1))
    net(torch.rand(8, 3, 6, 6, generator=torch.Generator().manual_seed(0)))
    return net


def test_every_weight_is_new_and_the_model_stays(model):
    state, rng = {name: value.clone() for name, value in model.state_dict().items()}, torch.get_rng_state()
    copy = untrained_copy(model, seed=3)
    assert changed(model, copy) == {"0.weight", "0.bias", "4.weight", "4.bias"}
    assert torch.equal(rng, torch.get_rng_state())
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert model.training
    assert not any(module.training for module in copy.modules())
    assert not any(parameter.requires_grad for parameter in copy.parameters())
    assert copy[1].running_mean.tolist() == [0.0] * 4


def test_the_seed_decides(model):
    first, again, other = (untrained_copy(model, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["0.weight"], other["0.weight"])


def test_trained_values_of_norms_are_forgotten(model):
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    assert untrained_copy(model, 0)[1].weight.tolist() == [1.0] * 4


def test_parameters_without_a_rule_are_shuffled():
    module = WithToken()
    copy = untrained_copy(module, seed=0)
    assert not torch.equal(copy.token, module.token)
    assert copy.token.sort().values.tolist() == module.token.tolist()
    assert torch.equal(copy.scale, module.scale)
    assert {"token", "attention.in_proj_weight", "attention.out_proj.weight"} <= changed(module, copy)


def test_parametrised_weights_are_shuffled():
    module = nn.utils.parametrizations.weight_norm(nn.Linear(6, 5))
    copy = untrained_copy(module, seed=0)
    assert not torch.equal(copy.weight, module.weight)


def test_under_inference_mode(model):
    with torch.inference_mode():
        copy = untrained_copy(model, seed=0)
        copy(torch.rand(1, 3, 6, 6))
    assert not copy[0].weight.is_inference()


def test_dtype_stays():
    assert untrained_copy(nn.Linear(3, 3, dtype=torch.bfloat16), 0).weight.dtype == torch.bfloat16


def test_models_without_weights():
    with pytest.raises(ValueError, match="Expected `model` to have parameters but got none"):
        untrained_copy(nn.ReLU(), 0)
    with pytest.raises(ValueError, match=r"initialised but got 'weight', which is not. Run one forward pass first"):
        untrained_copy(nn.LazyLinear(3), 0)


def test_calibration_averages_batches_and_restores(model):
    copy = untrained_copy(model, seed=0)
    batches = torch.rand(3, 8, 3, 6, 6, generator=torch.Generator().manual_seed(1))
    with calibrating(copy):
        assert copy[1].training
        assert not copy[3].training
        outputs = [copy(batch) for batch in batches]
    expected = torch.stack([copy[0](batch).mean(dim=(0, 2, 3)) for batch in batches]).mean(dim=0)
    torch.testing.assert_close(copy[1].running_mean, expected)
    assert (copy[1].training, copy[1].momentum) == (False, 0.1)
    assert len(outputs) == 3


def test_calibration_restores_after_an_error(model):
    copy = untrained_copy(model, seed=0)
    with pytest.raises(RuntimeError), calibrating(copy):
        copy(torch.rand(2, 1, 6, 6))
    assert not copy[1].training


def test_norms_without_running_statistics():
    norm = nn.BatchNorm1d(3, track_running_stats=False)
    assert not has_gathered_statistics(norm)
    with calibrating(norm):
        norm(torch.rand(4, 3))
    assert norm.running_mean is None


def test_a_model_that_never_trained_has_gathered_nothing(model):
    assert has_gathered_statistics(model)
    assert not has_gathered_statistics(untrained_copy(model, seed=0))
