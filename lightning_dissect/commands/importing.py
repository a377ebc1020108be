"""Objects of the user's own, named on the command line."""

import importlib
import sys
from typing import Any

from lightning_dissect.checks import closest


def find(module_name: str, path: str) -> Any:  # noqa: ANN401 - whatever the user's module holds
    """Return what a module holds under a dotted path.

    Args:
        module_name: Name of the module, which is imported, from the current folder too.
        path: Names that are looked up one in the other.

    Raises:
        ValueError:
            If the module cannot be imported or has no such name.

    """
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as error:
        raise ValueError(
            f"Expected to import {module_name!r} but got {type(error).__name__}: {error}. "
            "Is it installed in this environment, or does it lie in the current folder?"
        ) from error
    for part in path.split("."):
        if not hasattr(found, part):
            raise ValueError(
                f"Expected {module_name!r} to have {path!r} but it has not. {closest(part, _public(found))}"
            )
        found = getattr(found, part)
    return found


def called(found: Any, target: str, kind: str) -> Any:  # noqa: ANN401
    """Return what a class or function gives without arguments; anything else as it is.

    Args:
        found: Any object.
        target: What the user calls it.
        kind: What it is to give.

    Raises:
        ValueError:
            If the call fails.

    """
    if not callable(found):
        return found
    try:
        return found()
    except Exception as error:
        raise ValueError(
            f"Expected {target} to give a {kind} without arguments but got {type(error).__name__}: {error}."
        ) from error


def _public(found: object) -> list[str]:
    return [name for name in dir(found) if not name.startswith("_")]
