"""How often two judges say yes and no to the same labels."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lightning_dissect.agreement.verdicts import Verdicts

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ConfusionTable:
    """Labels by what two judges say of them.

    Args:
        both_yes: Labels that both take for right.
        first_only: Labels that only the first takes for right.
        second_only: Labels that only the second takes for right.
        both_no: Labels that both take for wrong.

    Raises:
        ValueError:
            If a number is negative.

    Example:
        >>> people = {("fc", 0, "cat"): True, ("fc", 1, "dog"): False, ("fc", 2, "sky"): True}
        >>> machine = {("fc", 0, "cat"): True, ("fc", 1, "dog"): True}
        >>> ConfusionTable.of(people, machine)
        ConfusionTable(both_yes=1, first_only=0, second_only=1, both_no=0)

    """

    both_yes: int
    first_only: int
    second_only: int
    both_no: int

    def __post_init__(self) -> None:
        for name, count in vars(self).items():
            if count < 0:
                raise ValueError(f"Expected `{name}` to be at least 0 but got {count}.")

    @classmethod
    def of(cls, first: Verdicts, second: Verdicts) -> "ConfusionTable":
        """Count the labels that both judges have a verdict on.

        Args:
            first: What the first judge says.
            second: What the second judge says.

        """
        pairs = [(verdict, second[key]) for key, verdict in first.items() if key in second]
        return cls(*(pairs.count(pair) for pair in ((True, True), (True, False), (False, True), (False, False))))

    def __add__(self, other: "ConfusionTable") -> "ConfusionTable":
        return ConfusionTable(*(self.counts + other.counts).astype(int).tolist())

    @property
    def counts(self) -> Numbers:
        """The four numbers in the order of the arguments, shape ``(4,)``."""
        return np.array([self.both_yes, self.first_only, self.second_only, self.both_no], dtype=np.float64)

    @property
    def total(self) -> int:
        """Labels that both have a verdict on."""
        return self.both_yes + self.first_only + self.second_only + self.both_no

    @property
    def first_yes_rate(self) -> float:
        """Share of the labels that the first takes for right, NaN if there is no label."""
        return (self.both_yes + self.first_only) / self.total if self.total else float("nan")

    @property
    def second_yes_rate(self) -> float:
        """Share of the labels that the second takes for right, NaN if there is no label."""
        return (self.both_yes + self.second_only) / self.total if self.total else float("nan")
