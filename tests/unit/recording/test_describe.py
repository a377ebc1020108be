from collections import OrderedDict

import pytest
import torch
from torch import Tensor, nn

from lightning_dissect.recording.describe import LayerDescription, describe_layers


class Odd(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.relu = nn.ReLU()
        self.unused = nn.Linear(7, 7)
        self.attention = nn.MultiheadAttention(4, 1, batch_first=True)
        self.nothing = Nothing()
        self.noise = Noise()

    def forward(self, x: Tensor, scale: float = 1.0) -> dict[str, object]:
        x = self.relu(self.relu(self.conv(x))) * scale
        tokens = self.attention(*[x.flatten(2).mT] * 3)
        self.nothing()
        return OrderedDict(out=(self.noise(tokens[0]),))


class Nothing(nn.Module):
    def forward(self) -> None:
        return None


class Noise(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.randn_like(x)


class Outer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = Odd()

    def forward(self, *args: Tensor, **kwargs: object) -> object:
        return self.net(*args, **kwargs)


EXPECTED = [
    LayerDescription("net", "Odd", "(1, 4, 4)", 1, 16 + 56 + 80),
    LayerDescription("net.conv", "Conv2d", "(1, 4, 2, 2)", 1, 16),
    LayerDescription("net.relu", "ReLU", "(1, 4, 2, 2)", 2, 0),
    LayerDescription("net.unused", "Linear", "", 0, 56),
    LayerDescription("net.attention", "MultiheadAttention", "(1, 4, 4)", 1, 80),
    LayerDescription("net.attention.out_proj", "NonDynamicallyQuantizableLinear", "", 0, 20),
    LayerDescription("net.nothing", "Nothing", "", 1, 0),
    LayerDescription("net.noise", "Noise", "(1, 4, 4)", 1, 0),
]
IMAGE = torch.zeros(1, 3, 2, 2)


@pytest.mark.parametrize("example", [IMAGE, (IMAGE, 2.0), {"x": IMAGE, "scale": 2.0}])
def test_describes_every_layer(example: object) -> None:
    assert describe_layers(Outer(), example) == EXPECTED  # type: ignore[arg-type]


def test_a_compiled_model_is_described_like_the_plain_one() -> None:
    torch._dynamo.reset()
    model = torch.compile(Outer(), backend="eager")
    with torch.no_grad():
        model(IMAGE)
    assert describe_layers(model, IMAGE) == EXPECTED


def test_the_model_is_left_as_found() -> None:
    model = Outer()
    model.net.train()
    model.net.relu.eval()
    own = model.net.conv.register_forward_hook(lambda *_: None)
    modes = [module.training for module in model.modules()]
    state = torch.get_rng_state()
    describe_layers(model, IMAGE)
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)
    assert [len(module._forward_hooks) for module in model.modules()].count(1) == 1
    assert own.id in model.net.conv._forward_hooks


def test_the_model_is_left_as_found_after_an_error() -> None:
    model = Outer()
    with pytest.raises(RuntimeError, match="channels"):
        describe_layers(model, torch.zeros(1, 5, 2, 2))
    assert model.training
    assert not any(module._forward_hooks for module in model.modules())
