"""What a search for labels may cost, and what it has cost so far."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from lightning_dissect.checks import check_positive


@dataclass(frozen=True)
class SearchBudget:
    """What the search for the labels of all chosen neurons may take together.

    Args:
        seconds: Time; who is over it stops after the concept at hand. ``None`` sets no limit, here and below.
        images: Images that are made, those by which results are judged among them.
        calls: Times that the proposer is asked.

    Raises:
        ValueError:
            If a number is not positive.

    Example:
        >>> SearchBudget(seconds=60, images=500).calls is None
        True

    """

    seconds: float | None = None
    images: int | None = None
    calls: int | None = None

    def __post_init__(self) -> None:
        for name in ("seconds", "images", "calls"):
            if getattr(self, name) is not None:
                check_positive(name, getattr(self, name))


class Spending:
    """What was spent of a budget.

    Args:
        budget: What may be spent.
        clock: Seconds since any moment.

    Example:
        >>> spending = Spending(SearchBudget(images=10, calls=1))
        >>> spending.images += 5
        >>> spending.affords(images=5), spending.affords(images=6), spending.affords(calls=1)
        (True, False, True)

    """

    def __init__(self, budget: SearchBudget, clock: Callable[[], float] = time.monotonic) -> None:
        self.budget = budget
        self.images = 0
        self.reserved = 0
        self.calls = 0
        self._clock = clock
        self._started = clock()

    @property
    def seconds(self) -> float:
        """Seconds since the beginning."""
        return self._clock() - self._started

    def affords(self, images: int = 0, calls: int = 0) -> bool:
        """Return whether there is time left, and so much of the rest; images that are reserved are not left.

        Args:
            images: Images to be made.
            calls: Calls of the proposer.

        """
        limits = (self.budget.seconds, self.budget.images, self.budget.calls)
        seconds, most_images, most_calls = (math.inf if limit is None else limit for limit in limits)
        return (
            self.seconds < seconds
            and self.images + self.reserved + images <= most_images
            and self.calls + calls <= most_calls
        )
