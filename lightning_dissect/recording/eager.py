"""Compiled code runs eagerly while someone records."""

from contextlib import AbstractContextManager

import torch


class EagerExecution:
    """Makes `torch.compile`d code run eagerly while at least one holder needs it.

    Compiled code does not see hooks that are registered later, so they would never fire. The stance ``force_eager``
    leaves compiled graphs as they are and costs no recompilation. Stances nest like a stack but recorders end in any
    order, hence the count: the first holder sets the stance, the last one restores what was there before.

    Example:
        >>> execution = EagerExecution()
        >>> execution.acquire()
        >>> execution.release()
        >>> execution.holders
        0

    """

    def __init__(self) -> None:
        self.holders = 0
        self._stance: AbstractContextManager[object] | None = None

    def acquire(self) -> None:
        """Take hold; the first holder switches to eager execution."""
        self.holders += 1
        if self.holders == 1 and hasattr(torch.compiler, "set_stance"):
            self._stance = torch.compiler.set_stance("force_eager")

    def release(self) -> None:
        """Let go; the last holder restores the stance that the first one found."""
        self.holders -= 1
        if self.holders == 0 and self._stance is not None:
            self._stance.__exit__(None, None, None)
            self._stance = None


EAGER_EXECUTION = EagerExecution()
