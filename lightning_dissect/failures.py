"""Failures that stop nothing: they are noted, and who is responsible says what becomes of them."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def noting(failures: list[str], what: str) -> Iterator[None]:
    """Note the failure of a ``with`` block, and go on after it.

    Args:
        failures: Gets a text with the traceback if the block fails.
        what: The failure as a sentence.

    Example:
        >>> failures = []
        >>> with noting(failures, "The sum failed."):
        ...     _ = 1 + None
        >>> failures[0].splitlines()[0]
        'The sum failed.'

    """
    try:
        yield
    except Exception:  # noqa: BLE001 - whatever it is, it is no reason to stop a training
        failures.append(f"{what}\n{traceback.format_exc()}")
