"""What keys and columns of reports call the extensions that a user has chosen."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import fields, is_dataclass
from itertools import combinations
from typing import Any

from lightning_dissect.registry import Registry


def extension_names(
    specs: Sequence[Any], found: Sequence[object], registry: Registry[Any], untold: Collection[str] = ()
) -> list[str]:
    """Return a name for each extension.

    One is called as it is registered, by name or by its class; the class of another object gives its name in snake
    case. Where several are called the same, the fields in which they differ are added.

    Args:
        specs: Registered names, with or without an argument, or objects.
        found: What they stand for.
        registry: Where they are registered.
        untold: Fields that are no part of a name.

    Example:
        >>> colours = Registry("colour")
        >>> extension_names(["red:dark", object()], [object(), object()], colours)
        ['red', 'object']

    """
    names = [_plain_name(spec, extension, registry) for spec, extension in zip(specs, found, strict=True)]
    alike = {name for name, count in Counter(names).items() if count > 1}
    for shared in alike:
        places = [place for place, name in enumerate(names) if name == shared]
        for place, suffix in zip(places, _differences([found[place] for place in places], untold), strict=True):
            names[place] += suffix
    return names


def form_of(extension: object, untold: Collection[str] = ()) -> str:
    """Return an extension as people read it: its class and, of a dataclass, the fields that may be told.

    Args:
        extension: Any object.
        untold: Fields that are left out.

    Example:
        >>> from dataclasses import make_dataclass
        >>> form_of(make_dataclass("Red", ["shade", "size"])("dark", 3), untold=["size"])
        "Red(shade='dark')"

    """
    if not is_dataclass(extension):
        return type(extension).__name__
    told = ", ".join(f"{key}={value!r}" for key, value in _told(extension, untold).items())
    return f"{type(extension).__name__}({told})"


def _plain_name(spec: object, extension: object, registry: Registry[Any]) -> str:
    name = registry.name_of(extension) or _snake_case(type(extension).__name__)
    if isinstance(spec, str):
        name = spec.partition(":")[0]
    return re.sub(r"[^A-Za-z0-9_]", "_", name)


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _differences(extensions: Sequence[object], untold: Collection[str]) -> list[str]:
    """Return for each extension of one name the fields in which it differs from the others."""
    told = [_told(extension, untold) for extension in extensions]
    differing = [
        key
        for key in dict.fromkeys(key for each in told for key in each)
        if any(one.get(key) != other.get(key) for one, other in combinations(told, 2))
    ]
    texts = ("".join(f"_{key}_{each[key]}" for key in differing if key in each) for each in told)
    return [re.sub(r"[^A-Za-z0-9_]", "_", text) for text in texts]


def _told(extension: object, untold: Collection[str]) -> dict[str, Any]:
    if not is_dataclass(extension):
        return {}
    told = (field.name for field in fields(extension) if field.repr and field.init and field.name not in untold)
    return {name: getattr(extension, name) for name in told}
