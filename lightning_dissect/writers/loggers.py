"""Loggers by what they are called, so that no logging library has to be imported to know them."""

from collections.abc import Iterable
from typing import Any


def loggers_called(loggers: Iterable[Any], name: str) -> list[Any]:
    """Return the loggers that are, or derive from, a class of that name, whichever package it comes from.

    ``lightning`` and ``pytorch_lightning`` have distinct classes of the same names; both are meant.

    Args:
        loggers: Any loggers.
        name: Name of a class, such as ``"WandbLogger"``.

    Example:
        >>> class WandbLogger: ...
        >>> class Mine(WandbLogger): ...
        >>> len(loggers_called([Mine(), object()], "WandbLogger"))
        1

    """
    return [logger for logger in loggers if any(base.__name__ == name for base in type(logger).__mro__)]
