"""How work that takes a while tells how far it is."""

from collections.abc import Callable

Progress = Callable[[str, int, float], None]
"""Called with what is being done, how much of it is done and how much there is, infinite if that is unknown."""


def silent(description: str, done: int, total: float) -> None:
    """Show nothing."""
