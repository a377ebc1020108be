"""What people say of labels, and what they say together."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import Literal, get_args

from lightning_dissect.agreement.verdicts import LabelKey

Answer = Literal["yes", "no", "unsure"]
ANSWERS: tuple[Answer, ...] = get_args(Answer)


@dataclass(frozen=True)
class Rating:
    """The answer of one person to one label.

    Args:
        rater: Name of the person.
        layer: Full module name of the layer.
        unit: Index of the neuron within the layer, from 0.
        label: The label that was shown.
        answer: ``"yes"``, ``"no"`` or ``"unsure"``.
        seconds: Time taken to answer; NaN if nobody measured it.
        note: Anything that the person wrote.

    Raises:
        ValueError:
            If ``rater`` or ``label`` is empty, ``unit`` is negative, ``answer`` is none of the three, or ``seconds`` is
            negative or infinite.

    Example:
        >>> Rating("ana", "layer4", 7, "dog", "yes").key
        ('layer4', 7, 'dog')

    """

    rater: str
    layer: str
    unit: int
    label: str
    answer: Answer
    seconds: float = math.nan
    note: str = ""

    def __post_init__(self) -> None:
        for name in ("rater", "label"):
            if not getattr(self, name).strip():
                raise ValueError(f"Expected `{name}` to be a text that is not empty but got {getattr(self, name)!r}.")
        if self.unit < 0:
            raise ValueError(f"Expected `unit` to be at least 0 but got {self.unit}.")
        if self.answer not in ANSWERS:
            raise ValueError(f"Expected `answer` to be one of {list(ANSWERS)} but got {self.answer!r}.")
        if self.seconds < 0 or math.isinf(self.seconds):
            raise ValueError(f"Expected `seconds` to be a time or NaN where unknown but got {self.seconds}.")

    @property
    def key(self) -> LabelKey:
        """What was rated."""
        return self.layer, self.unit, self.label


def latest(ratings: Iterable[Rating]) -> tuple[Rating, ...]:
    """Keep of several ratings that a person gave to the same label the last one.

    Args:
        ratings: In the order in which they were given.

    Example:
        >>> first, second = (Rating("ana", "fc", 0, "cat", answer) for answer in ("no", "yes"))
        >>> [rating.answer for rating in latest([first, second])]
        ['yes']

    """
    return tuple({(rating.rater, rating.key): rating for rating in ratings}.values())


def verdicts_by_rater(ratings: Iterable[Rating]) -> dict[str, dict[LabelKey, bool]]:
    """Return what each person says, as a judge of their own; who is unsure has no verdict.

    Args:
        ratings: Of any people; the last one counts, see `latest`.

    Example:
        >>> verdicts_by_rater([Rating("ana", "fc", 0, "cat", "yes"), Rating("bo", "fc", 0, "cat", "unsure")])
        {'ana': {('fc', 0, 'cat'): True}, 'bo': {}}

    """
    verdicts: dict[str, dict[LabelKey, bool]] = {}
    for rating in latest(ratings):
        own = verdicts.setdefault(rating.rater, {})
        if rating.answer != "unsure":
            own[rating.key] = rating.answer == "yes"
    return verdicts


def consensus(ratings: Iterable[Rating]) -> dict[LabelKey, bool]:
    """Return what most people say; there is no verdict where as many say yes as no, or all are unsure.

    Args:
        ratings: Of any people; the last one of each counts, see `latest`.

    Example:
        >>> answers = {"ana": "yes", "bo": "yes", "cy": "no", "di": "unsure"}
        >>> consensus(Rating(rater, "fc", 0, "cat", answer) for rater, answer in answers.items())
        {('fc', 0, 'cat'): True}

    """
    votes: defaultdict[LabelKey, Counter[str]] = defaultdict(Counter)
    for rating in latest(ratings):
        votes[rating.key][rating.answer] += 1
    return {key: vote["yes"] > vote["no"] for key, vote in votes.items() if vote["yes"] != vote["no"]}


def seconds_per_neuron(ratings: Iterable[Rating]) -> float:
    """Return how long people take for a label: the median of the known times, which a coffee break does not move.

    Args:
        ratings: Of any people.

    Returns:
        Seconds, NaN where no time is known.

    Example:
        >>> seconds_per_neuron(Rating("ana", "fc", unit, "cat", "yes", 2.0 + unit) for unit in range(3))
        3.0

    """
    times = [rating.seconds for rating in ratings if not math.isnan(rating.seconds)]
    return median(times) if times else math.nan
