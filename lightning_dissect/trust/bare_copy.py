"""A copy of the modules of a model, without what a training hangs on them."""

import weakref
from collections import ChainMap
from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from types import FunctionType, MethodType

from torch import Tensor, nn
from torch.jit import ScriptModule
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader, Dataset

_OF_THE_TRAINING = (Optimizer, LRScheduler, Dataset, DataLoader)
_PACKAGES_OF_THE_TRAINING = {"lightning", "lightning_fabric", "pytorch_lightning", "torchmetrics", "wandb"}
_UNATTACHED = ("_trainer", "_fabric")
_HOOKS = tuple(name for name in vars(nn.Module()) if name.endswith("_hooks"))
_ATOMS = (type(None), bool, int, float, complex, str, bytes, type)
_LEFT_OUT = nn.Identity()
"""Stands, while a copy is made, where something of the original is not to come along."""


def bare_copy(model: nn.Module) -> nn.Module:
    """Return a copy of a model that can run on its own; the model stays untouched and nobody's hooks fire for the copy.

    Parameters, buffers, modules and whatever attributes can be copied are copied. What belongs to a training stays
    behind: a Trainer and all else of Lightning, metrics of torchmetrics, optimisers, datasets; and so does what cannot
    be copied, such as locks, open files and generators: the copy lacks these attributes. Of all hooks only those of
    ``torch.nn.utils`` (weight and spectral norm, pruning) come along. Compiled modules are unwrapped.

    Args:
        model: Any module, on any devices.

    Raises:
        ValueError:
            If an attribute is a function that holds on to a module, which would then run instead of its copy.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 3))
        >>> handle = model.register_forward_hook(lambda *_: print("A hook of the model."))
        >>> model.optimizer, model.scale = Optimizer(model.parameters(), {}), 2.0
        >>> copy = bare_copy(model)
        >>> len(copy._forward_hooks), hasattr(copy, "optimizer"), copy.scale
        (0, False, 2.0)

    """
    memo: dict[int, object] = {}
    attributes: list[object] = []
    memo |= {id(owner): _LEFT_OUT for owner in model.modules() if "torchmetrics" in _packages(owner)}
    owners = [owner for owner in model.modules() if id(owner) not in memo and not isinstance(owner, ScriptModule)]
    for owner in owners:
        _keep_hooks_of_torch(owner, memo)
        for name, value in _attributes(owner):
            _check_function(owner, name, value)
            attributes.append(value)
    _leave_out_the_training(attributes, memo)
    _leave_out_what_cannot_be_copied(attributes, memo, [*model.modules(), *model.parameters(), *model.buffers()])
    for owner in owners:
        if "_orig_mod" in owner._modules:
            memo[id(owner)] = deepcopy(owner._modules["_orig_mod"], memo)
    copy = deepcopy(model, memo)
    for module in list(copy.modules()):
        if not isinstance(module, ScriptModule):
            _remove_gaps(module)
    return copy


def _attributes(module: nn.Module) -> Iterator[tuple[str, object]]:
    for name, value in vars(module).items():
        if name not in (*_HOOKS, "_modules", "_parameters", "_buffers") and not issubclass(type(value), _ATOMS):
            yield name, value


def _leave_out_the_training(attributes: list[object], memo: dict[int, object]) -> None:
    for value in attributes:
        if type(value) in weakref.ProxyTypes:
            memo[id(value)] = _LEFT_OUT
            with suppress(ReferenceError):
                memo[id(value.__repr__.__self__)] = _LEFT_OUT  # type: ignore[attr-defined]  # what it stands for
        elif _belongs_to_training(value):
            memo[id(value)] = _LEFT_OUT


def _leave_out_what_cannot_be_copied(attributes: list[object], memo: dict[int, object], parts: list[object]) -> None:
    known = {id(part): part for part in parts}
    for value in attributes:
        if id(value) in known or id(value) in memo:
            continue
        if isinstance(value, Tensor):
            memo[id(value)] = value.detach().clone()
        elif not _is_copyable(value, ChainMap({}, memo, known)):
            memo[id(value)] = _LEFT_OUT


def _belongs_to_training(value: object) -> bool:
    if isinstance(value, (nn.Module, dict)):
        return False
    return isinstance(value, _OF_THE_TRAINING) or bool(_packages(value) & _PACKAGES_OF_THE_TRAINING)


def _packages(value: object) -> set[str]:
    return {base.__module__.partition(".")[0] for base in type(value).__mro__}


def _is_copyable(value: object, memo: ChainMap[int, object]) -> bool:
    try:
        deepcopy(value, memo)  # type: ignore[arg-type]
    except Exception:  # noqa: BLE001 - an object may refuse to be copied with any error
        return False
    return True


def _keep_hooks_of_torch(module: nn.Module, memo: dict[int, object]) -> None:
    for hooks in (vars(module)[name] for name in _HOOKS):
        memo[id(hooks)] = type(hooks)({key: hook for key, hook in hooks.items() if _is_of_torch(hook)})


def _is_of_torch(hook: object) -> bool:
    return (getattr(hook, "__module__", None) or "").startswith("torch.nn.utils")


def _check_function(owner: nn.Module, name: str, value: object) -> None:
    if type(value) is FunctionType and any(_holds_a_module(cell) for cell in value.__closure__ or ()):
        raise ValueError(
            f"Expected the attributes of `model` to be copyable but {name!r} of {type(owner).__name__} is a function "
            "that holds on to a module. Make it a method, and compile modules instead of methods."
        )


def _holds_a_module(cell: object) -> bool:
    content = getattr(cell, "cell_contents", None)
    return isinstance(content.__self__ if isinstance(content, MethodType) else content, nn.Module)


def _remove_gaps(module: nn.Module) -> None:
    vars(module).pop("_compiled_call_impl", None)
    for held in (vars(module), module._modules):
        for name in [name for name, value in held.items() if value is _LEFT_OUT]:
            del held[name]
            if name in _UNATTACHED:
                vars(module)[name] = None
