"""The same architecture before it has learned anything: what its units explain, no label may claim as learned."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from lightning_dissect.trust.bare_copy import bare_copy


def untrained_copy(model: nn.Module, seed: int) -> nn.Module:
    """Return a copy of a model with random weights, in evaluation mode; the model and the global RNG stay untouched.

    Every module draws its parameters anew by its own ``reset_parameters``, children before parents, whether or not
    they are trained. A parameter that no such method changes (class tokens, position embeddings, layer scales,
    parametrised weights) keeps its values in random order: their scale stays, what they say does not. Buffers are
    copied, but the running statistics of normalisation layers are forgotten. With forgotten statistics a deep network
    computes something else than it does in training: where `has_gathered_statistics` says that the model has its own,
    fill them by `calibrating` before features are taken.

    Args:
        model: Any module, on any devices; what of it is copied says `bare_copy`.
        seed: Seed of the random weights.

    Returns:
        The copy, on the devices and in the dtypes of the model, without gradients.

    Raises:
        ValueError:
            If the model has no parameters, or one that is not initialised yet or is held in shards by several
            processes; or if it cannot be copied.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
        >>> first, second = untrained_copy(model, seed=0), untrained_copy(model, seed=1)
        >>> torch.equal(first[0].weight, untrained_copy(model, seed=0)[0].weight)
        True
        >>> torch.equal(first[0].weight, second[0].weight), torch.equal(first[0].weight, model[0].weight)
        (False, False)

    """
    _check_parameters(model)
    with torch.inference_mode(mode=False), torch.no_grad():
        copy = bare_copy(model).eval().requires_grad_(False)
        devices = [parameter.device for parameter in copy.parameters()]
        for parameter in copy.parameters():
            parameter.data = parameter.data.cpu()
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            _draw(copy)
        for parameter, device in zip(copy.parameters(), devices, strict=True):
            parameter.data = parameter.data.to(device)
    return copy


@contextmanager
def calibrating(model: nn.Module) -> Iterator[None]:
    """Let normalisation layers gather running statistics from the forward passes of a ``with`` block.

    Inside, these layers normalise by the batch and average the statistics of all batches equally; everything else
    stays in evaluation mode. Afterwards all modules are in the mode, and with the momentum, that they had before.

    Args:
        model: An untrained copy; one without such layers is left as it is.

    Example:
        >>> copy = untrained_copy(nn.BatchNorm1d(1), seed=0)
        >>> with calibrating(copy):
        ...     _ = copy(torch.tensor([[1.0], [3.0]])), copy(torch.tensor([[5.0], [7.0]]))
        >>> copy.running_mean
        tensor([4.])

    """
    layers = [layer for layer in model.modules() if isinstance(layer, _NormBase) and layer.track_running_stats]
    before = [(layer.training, layer.momentum) for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.training, layer.momentum = True, None
    try:
        yield
    finally:
        for layer, (training, momentum) in zip(layers, before, strict=True):
            layer.training, layer.momentum = training, momentum


def has_gathered_statistics(model: nn.Module) -> bool:
    """Return whether normalisation layers of a model have learned running statistics, as those of its copies must.

    A model whose layers still hold mean 0 and variance 1 in evaluation mode is compared with copies that do so as well:
    what a deep network computes in that state is another thing, of another strength.

    Args:
        model: The model that is dissected.

    Example:
        >>> norm = nn.BatchNorm1d(1)
        >>> before, _ = has_gathered_statistics(norm), norm(torch.tensor([[1.0], [3.0]]))
        >>> before, has_gathered_statistics(norm), has_gathered_statistics(nn.LayerNorm(2))
        (False, True, False)

    """
    layers = [layer for layer in model.modules() if isinstance(layer, _NormBase)]
    means = [layer.running_mean for layer in layers if layer.running_mean is not None]
    return any(bool(mean.count_nonzero()) for mean in means)


def _draw(model: nn.Module) -> None:
    before = [parameter.detach().clone() for parameter in model.parameters()]
    for module in reversed(list(model.modules())):
        reset = getattr(module, "reset_parameters", getattr(module, "_reset_parameters", None))
        if callable(reset):
            reset()
        if isinstance(module, _NormBase):
            module.reset_running_stats()
    for parameter, old in zip(model.parameters(), before, strict=True):
        if torch.equal(parameter, old):
            _shuffle(parameter)


def _shuffle(parameter: Tensor) -> None:
    flat = parameter.flatten()
    parameter.copy_(flat[torch.randperm(len(flat))].view_as(parameter))


def _check_parameters(model: nn.Module) -> None:
    parameters = dict(model.named_parameters())
    if not parameters:
        raise ValueError(
            "Expected `model` to have parameters but got none; there is nothing that training could learn."
        )
    for name, parameter in parameters.items():
        if nn.parameter.is_lazy(parameter):
            raise ValueError(
                f"Expected all parameters of `model` to be initialised but got {name!r}, which is not. "
                "Run one forward pass first."
            )
    sharded = [name for name, parameter in parameters.items() if _is_sharded(parameter)]
    sharded += [name for name, module in model.named_modules() if hasattr(module, "_is_fsdp_managed_module")]
    if sharded:
        raise ValueError(
            f"Expected all parameters of `model` to be whole but got {sharded[0]!r}, of which this process holds a "
            "part or nothing. Models that are sharded over processes (FSDP, DTensor, DeepSpeed) cannot be copied."
        )


def _is_sharded(parameter: nn.Parameter) -> bool:
    return parameter.is_meta or hasattr(parameter, "device_mesh") or hasattr(parameter, "ds_id")
