"""How many bytes a dissection may hold, and who may hold how many of them."""

from dataclasses import dataclass

from lightning_dissect.checks import check_positive


@dataclass(frozen=True)
class ByteBudget:
    """A number of bytes shared out among all that grows with images, neurons and concepts.

    What does not fit its share is held in another way: activations in memory-mapped files, the concept matrix in
    factors, pictures only of images that are shown, intermediate results block by block. A tenth is no one's: several
    intermediate results may be there at a time.

    Args:
        total: Bytes of all shares together.

    Raises:
        ValueError:
            If ``total`` is not positive.

    Example:
        >>> budget = ByteBudget(2 * 2**30)
        >>> budget.activations >> 20, budget.concepts(activations=100 * 2**20) >> 20
        (819, 1333)

    """

    total: int = 2 * 2**30

    def __post_init__(self) -> None:
        check_positive("max_bytes", self.total)

    @property
    def activations(self) -> int:
        """Pooled activations of all layers."""
        return self.total * 2 // 5

    @property
    def pictures(self) -> int:
        """Small pictures of images that cannot be read again."""
        return self.total // 10

    @property
    def work(self) -> int:
        """Intermediate results."""
        return self.total // 10

    def concepts(self, activations: int) -> int:
        """Return the share of embeddings and concept matrix: what activations leave of seven tenths.

        Args:
            activations: Bytes recorded by all processes, so that any number of them decides alike; those beyond the
                share of activations do not count.

        """
        return self.total * 7 // 10 - min(activations, self.activations)
