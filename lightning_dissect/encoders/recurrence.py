"""Whether the images of one dissection come again in the next."""


class Recurrence:
    """Counts, dissection by dissection, how many images were known before.

    Images that are augmented at random are new every time; to keep their embeddings would fill memory and disk with
    what nobody asks for again.

    Example:
        >>> recurrence = Recurrence()
        >>> for num_known in (0, 100, 3):
        ...     recurrence.start_cycle()
        ...     recurrence.update(100, num_known)
        ...     print(recurrence.is_seen)
        True
        True
        False

    """

    def __init__(self) -> None:
        self._cycle = 0
        self._num_before = self._num_images = self._num_known = 0

    def start_cycle(self) -> None:
        """Begin the next dissection; one without images does not count."""
        if self._num_images or not self._cycle:
            self._cycle += 1
            self._num_before, self._num_images, self._num_known = self._num_images, 0, 0

    def update(self, num_images: int, num_known: int) -> None:
        """Count images.

        Args:
            num_images: How many came.
            num_known: How many of them were known.

        """
        self._num_images += num_images
        self._num_known += num_known

    @property
    def is_seen(self) -> bool:
        """Whether at least half of the images came again, as far as they could; true in the first dissection."""
        return self._cycle <= 1 or 2 * self._num_known >= min(self._num_before, self._num_images)
