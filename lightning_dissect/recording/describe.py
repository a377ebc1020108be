"""What layers a model has and what they return."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lightning_dissect.recording.eager import EAGER_EXECUTION
from lightning_dissect.recording.layers import named_layers
from lightning_dissect.recording.layout import main_tensor


@dataclass(frozen=True)
class LayerDescription:
    """A layer as seen in one forward.

    Args:
        name: Full module name, as `select_layers` understands it.
        class_name: Name of its class.
        output_shape: Shape of the tensor that it returned in its last call, empty if it returned none.
        fires: How often it was called; a layer that is never called cannot be recorded.
        parameters: Number of parameters in it and the modules inside.

    """

    name: str
    class_name: str
    output_shape: str
    fires: int
    parameters: int


class _CallObserver:
    def __init__(self) -> None:
        self.fires = 0
        self.output_shape = ""

    def __call__(self, module: nn.Module, args: tuple[object, ...], output: object) -> None:
        del module, args
        self.fires += 1
        try:
            self.output_shape = str(tuple(main_tensor(output).shape))
        except ValueError:
            self.output_shape = ""


def describe_layers(
    model: nn.Module, example_input: Tensor | tuple[object, ...] | Mapping[str, object]
) -> list[LayerDescription]:
    """Run a model once and describe all its layers. The model, its modes, hooks and random state are left as found.

    Args:
        model: The model.
        example_input: What the model is called with: a tensor, a tuple of positional or a mapping of keyword arguments.

    Returns:
        One description per module, in the order of the model, the model itself left out.

    Example:
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten())
        >>> [(layer.name, layer.output_shape) for layer in describe_layers(model, torch.zeros(1, 3, 5, 5))]
        [('0', '(1, 8, 3, 3)'), ('1', '(1, 72)')]

    """
    layers = {name: module for name, module in named_layers(model).items() if name}
    observers = {name: _CallObserver() for name in layers}
    with _undisturbed(model):
        handles = [module.register_forward_hook(observers[name]) for name, module in layers.items()]
        try:
            _call(model, example_input)
        finally:
            for handle in handles:
                handle.remove()
    return [
        LayerDescription(
            name=name,
            class_name=type(module).__name__,
            output_shape=observers[name].output_shape,
            fires=observers[name].fires,
            parameters=sum(parameter.numel() for parameter in module.parameters()),
        )
        for name, module in layers.items()
    ]


def _call(model: nn.Module, example_input: Tensor | tuple[object, ...] | Mapping[str, object]) -> None:
    if isinstance(example_input, Mapping):
        model(**example_input)
    else:
        model(*(example_input if isinstance(example_input, tuple) else (example_input,)))


@contextmanager
def _undisturbed(model: nn.Module) -> Iterator[None]:
    """Run a model eagerly, in evaluation mode and without gradients, and restore modes and random state."""
    training = {module: module.training for module in model.modules()}
    cuda = sorted({parameter.device.index for parameter in model.parameters() if parameter.is_cuda})
    EAGER_EXECUTION.acquire()
    try:
        with torch.random.fork_rng(devices=cuda), torch.no_grad():
            model.eval()
            yield
    finally:
        EAGER_EXECUTION.release()
        for module, mode in training.items():
            module.training = mode
