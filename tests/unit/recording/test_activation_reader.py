import pytest
import torch
from torch import nn

from lightning_dissect.recording import ActivationReader, select_layers


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(4, 2)

    def forward(self, images):
        return self.head(self.drop(self.norm(self.conv(images)).mean(dim=(2, 3))))


@pytest.fixture
def model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Network()


def images(count=7):
    return torch.randint(256, (count, 3, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def reader(model, layers=("conv", "head"), batch_size=3, **settings):
    chosen = select_layers(model, list(layers))
    return ActivationReader(model, chosen, lambda batch: batch / 255, batch_size=batch_size, **settings)


def test_activations_are_those_of_the_model_in_the_order_of_the_images(model):
    found = reader(model).read(images())
    expected = model.eval()(images() / 255)
    torch.testing.assert_close(found["head"], expected.detach())
    torch.testing.assert_close(found["conv"], model.conv(images() / 255).mean(dim=(2, 3)).detach())
    assert not found["head"].is_inference()


def test_the_last_batch_may_be_smaller(model):
    found = reader(model, batch_size=10).read(images(25))
    torch.testing.assert_close(found["head"], model.eval()(images(25) / 255).detach())


def test_the_model_and_the_random_state_are_left_as_found(model):
    model.train()
    model.norm.eval()
    before, state = torch.get_rng_state(), {name: value.clone() for name, value in model.state_dict().items()}
    reader(model).read(images())
    assert [module.training for module in (model, model.conv, model.norm, model.drop)] == [True, True, False, True]
    assert torch.equal(torch.get_rng_state(), before)
    assert not model.conv._forward_hooks
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name])


def test_the_mode_comes_back_after_a_failure(model):
    model.train()
    with pytest.raises(RuntimeError):
        reader(model, forward=lambda _: model(torch.zeros(1, 1))).read(images())
    assert model.training
    assert not model.conv._forward_hooks


def test_a_layer_that_does_not_run_is_named(model):
    model.unused = nn.Linear(2, 2)
    with pytest.raises(RuntimeError, match="unused: It did not run"):
        reader(model, ["conv", "unused"]).read(images())


def test_the_fingerprint_depends_on_all_that_activations_depend_on(model):
    first = reader(model).fingerprint()
    assert first == reader(model, batch_size=1).fingerprint()
    assert first != reader(model, ["conv"]).fingerprint()
    other = ActivationReader(model, select_layers(model, ["conv", "head"]), lambda batch: batch / 128)
    assert first != other.fingerprint()
    maximum = ActivationReader(model, select_layers(model, {"conv": "max", "head": "auto"}), lambda batch: batch / 255)
    assert first != maximum.fingerprint()
    with torch.no_grad():
        model.norm.running_mean += 1
    assert first != reader(model).fingerprint()


def test_no_batch_is_refused(model):
    with pytest.raises(ValueError, match="`batch_size`"):
        reader(model, batch_size=0)
