"""When labels are judged, how many of them, by which images, and what is enough for a yes."""

from dataclasses import dataclass, field

from lightning_dissect.checks import check_positive
from lightning_dissect.evaluators.sampling import ImageSampling


@dataclass(frozen=True)
class EvaluationPlan:
    """How evaluators go about their work.

    Args:
        every_n_dissections: Judge the labels of the first dissection and of every n-th from there.
        num_neurons: Most neurons judged per layer, the same ones every time as long as they have labels; ``None``
            judges all.
        seconds: Time that the evaluators of one dissection may take together, loading included; who is over it stops
            after the neurons at hand. ``None`` sets no limit.
        vote: Top images that have to show what the label says: ``"any"`` one of them as published, or a number.
        images: The images that labels are judged by.
        num_other_labels: Labels of other neurons that are held against the true one, on the same top images.
        num_reference_images: Images drawn from the probe at random, against which percentiles are taken.
        seed: What the choice of neurons, images and labels depends on.

    Raises:
        ValueError:
            If a number is out of range, or ``vote`` asks for more images than there are.

    Example:
        >>> EvaluationPlan(vote=3).votes_needed
        3

    """

    every_n_dissections: int = 1
    num_neurons: int | None = 64
    seconds: float | None = 60.0
    vote: int | str = "any"
    images: ImageSampling = field(default_factory=ImageSampling)
    num_other_labels: int = 9
    num_reference_images: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("every_n_dissections", "num_neurons", "seconds", "num_other_labels", "num_reference_images"):
            if getattr(self, name) is not None:
                check_positive(name, getattr(self, name))
        if self.vote != "any" and (not isinstance(self.vote, int) or not 1 <= self.vote <= self.images.top):
            raise ValueError(
                f"Expected `vote` to be 'any' or a number from 1 to the {self.images.top} top images "
                f"but got {self.vote!r}."
            )

    @property
    def votes_needed(self) -> int:
        """Top images that have to show what a label says."""
        return self.vote if isinstance(self.vote, int) else 1

    def is_due(self, cycle: int) -> bool:
        """Return whether the labels of a dissection are judged.

        Args:
            cycle: Number of dissections before it.

        """
        return cycle % self.every_n_dissections == 0
