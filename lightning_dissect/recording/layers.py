"""Choosing the layers of a model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import nn

from lightning_dissect.checks import closest
from lightning_dissect.recording.pooling import POOLINGS, Pooling
from lightning_dissect.recording.traits import LayerTraits, TraitReader

WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module", "_original_module")
DATA_PARALLEL = (nn.DataParallel, nn.parallel.DistributedDataParallel)

LayerSpec = str | type


@dataclass(frozen=True)
class SelectedLayer:
    """A layer to record.

    Args:
        name: Full module name, without the components that wrappers add.
        module: The layer.
        pooling: How its output becomes one number per image and neuron.
        traits: What the model tells of the layout of its output; ``None`` means what the layer alone tells.

    """

    name: str
    module: nn.Module
    pooling: Pooling
    traits: LayerTraits | None = None


def named_layers(model: nn.Module) -> dict[str, nn.Module]:
    """Return all modules by their names, the same whether the model is compiled, wrapped or plain.

    The components that `torch.compile`, FSDP, activation checkpointing, Fabric and (distributed) data parallelism add
    to names are deleted; where a wrapper and what it wraps then share a name, the wrapped module has it. A module that
    the model holds under several names is there under each. The model itself has the empty name.

    Args:
        model: Any module.

    Example:
        >>> list(named_layers(nn.DataParallel(nn.Sequential(nn.Linear(2, 2)))))
        ['', '0']

    """
    layers: dict[str, nn.Module] = {}
    clean_names = {"": ""}
    modules = dict(model.named_modules(remove_duplicate=False))
    for raw_name, module in modules.items():
        around, _, component = raw_name.rpartition(".")
        if raw_name:
            clean = clean_names[around]
            added = component in WRAPPERS or (component == "module" and isinstance(modules[around], DATA_PARALLEL))
            clean_names[raw_name] = clean if added else f"{clean}.{component}".lstrip(".")
        layers[clean_names[raw_name]] = module
    return layers


def select_layers(
    model: nn.Module,
    layers: LayerSpec | Sequence[LayerSpec] | Mapping[str, str | Pooling],
    pooling: str | Pooling = "auto",
) -> dict[str, SelectedLayer]:
    """Choose layers by name, pattern or type.

    Each choice is tried as, in this order: the full name of a module (``"model.layer4"``); a pattern
    (``"model.layer*"``, where ``*`` also matches dots, as in `fnmatch`); the end of one module's name (``"layer4"``);
    the name of a class (``"Conv2d"``, subclasses included) or a class.

    Args:
        model: The model, plain, compiled or wrapped.
        layers: One choice, several, or the pooling of each choice (``{"layer4": "max", "encoder.*": "cls"}``).
        pooling: Pooling of layers without one of their own: a registered name or an object with the method ``pool``.

    Returns:
        Layers by name, in the order asked for and within a pattern or type in the order of the model, each once. A
        layer that is named outright has the pooling of its name, any other that of the first choice that finds it.

    Raises:
        TypeError:
            If a choice is neither a string nor a class, or a pooling has no method ``pool``.
        ValueError:
            If a choice finds nothing, fits the end of several names, or there is no choice at all; or if a pooling is
            unknown.

    Example:
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3))
        >>> list(select_layers(model, ["Conv2d", "1"]))
        ['0', '2', '1']

    """
    choices: list[tuple[LayerSpec, str | Pooling]]
    if isinstance(layers, Mapping):
        choices = list(layers.items())
    else:
        choices = [(spec, pooling) for spec in ([layers] if isinstance(layers, (str, type)) else layers)]
    if not choices:
        raise ValueError("Expected `layers` to choose at least one layer but got none; name a layer such as 'layer4'.")
    named = named_layers(model)
    poolings: dict[str, Pooling] = {}
    outright: set[str] = set()
    for spec, choice in choices:
        resolved = _resolved_pooling(choice)
        names = _find(named, spec)
        is_one_layer = isinstance(spec, str) and len(names) == 1 and f".{names[0]}".endswith(f".{spec}")
        for name in names:
            if name not in poolings or (is_one_layer and name not in outright):
                poolings[name] = resolved
        outright.update(names if is_one_layer else ())
    reader = TraitReader()
    return {
        name: SelectedLayer(name, named[name], pooling, reader.read(named[name], _ancestors(named, name), name))
        for name, pooling in poolings.items()
    }


def _resolved_pooling(pooling: str | Pooling) -> Pooling:
    resolved = POOLINGS.resolve(pooling)
    if isinstance(resolved, type) or not isinstance(resolved, Pooling):
        raise TypeError(f"Expected a pooling to be an object with the method `pool` but got {resolved!r}.")
    return resolved


def _ancestors(named: Mapping[str, nn.Module], name: str) -> list[nn.Module]:
    parts = name.split(".")
    return [named[".".join(parts[:depth])] for depth in reversed(range(len(parts)))]


def _find(named: Mapping[str, nn.Module], spec: LayerSpec) -> list[str]:
    """Return the names that one choice finds, in the order of the model."""
    inner = {name: module for name, module in named.items() if name}
    if isinstance(spec, type):
        found = [name for name, module in inner.items() if isinstance(module, spec)]
    elif not isinstance(spec, str):
        raise TypeError(f"Expected `layers` to hold module names, patterns or classes but got {spec!r}.")
    elif spec in inner:
        found = [spec]
    elif any(sign in spec for sign in "*?["):
        found = [name for name in inner if fnmatchcase(name, spec)]
    else:
        found = _by_end(inner, spec) or [name for name, module in inner.items() if spec in _class_names(module)]
    if not found:
        wanted = spec.__name__ if isinstance(spec, type) else spec
        candidates = list(dict.fromkeys([*inner, *(type(module).__name__ for module in inner.values())]))
        raise ValueError(
            f"Expected `layers` to choose modules of {type(named['']).__name__} but {wanted!r} fits none of its "
            f"{len(inner)} modules. {closest(wanted, candidates)}"
        )
    return _each_once(inner, found)


def _by_end(inner: Mapping[str, nn.Module], spec: str) -> list[str]:
    """Return the name of the only module whose name ends in ``spec``, or nothing if there is no such module."""
    ends = _each_once(inner, [name for name in inner if name.endswith(f".{spec}")])
    if len(ends) > 1:
        raise ValueError(
            f"Expected `layers` to fit one module but {spec!r} is the end of {len(ends)} names: "
            f"{', '.join(map(repr, ends[:5]))}{', ...' if len(ends) > 5 else ''}. Write the full name, or '*.{spec}' "
            "for all of them."
        )
    return ends


def _class_names(module: nn.Module) -> set[str]:
    """Return the names of a module's class and its bases, as far as they say more than that it is a module."""
    return {base.__name__ for base in type(module).__mro__ if base is not nn.Module and issubclass(base, nn.Module)}


def _each_once(inner: Mapping[str, nn.Module], names: list[str]) -> list[str]:
    """Drop further names of modules that are in ``names`` already."""
    first = {id(inner[name]): name for name in reversed(names)}
    return [name for name in names if first[id(inner[name])] == name]
