"""How many bytes a dissection may hold, and who may hold how many of them."""

from dataclasses import dataclass

from lightning_dissect.checks import check_positive


@dataclass(frozen=True)
class ByteBudget:
    """A number of bytes shared out among all that grows with images, neurons and concepts.

    What does not fit its share is held in another way: activations in memory-mapped files, the concept matrix in
    factors, pictures only of images that are shown, intermediate results block by block.

    Args:
        total: Bytes of all shares together.

    Raises:
        ValueError:
            If ``total`` is not positive.

    Example:
        >>> ByteBudget(2 * 2**30).activations >> 20
        819

    """

    total: int = 2 * 2**30

    def __post_init__(self) -> None:
        check_positive("max_bytes", self.total)

    @property
    def activations(self) -> int:
        """Pooled activations of all layers."""
        return self.total * 2 // 5

    @property
    def concepts(self) -> int:
        """The whole concept matrix."""
        return self.total * 2 // 5

    @property
    def pictures(self) -> int:
        """Small pictures of images that cannot be read again."""
        return self.total // 10

    @property
    def work(self) -> int:
        """Intermediate results."""
        return self.total // 10
