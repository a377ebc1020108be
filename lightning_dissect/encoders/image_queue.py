"""Images that wait until there are enough of them for the encoder."""

from collections.abc import Iterator

import torch
from torch import Tensor

from lightning_dissect.checks import check_positive

Batch = tuple[Tensor, Tensor]


class ImageQueue:
    """Gathers images of small batches into batches of the encoder's size.

    Images of one size and device wait together, on the device they arrived on.

    Args:
        batch_size: Images of a full batch.
        max_bytes: Most bytes that wait; beyond that, what waits comes out in smaller batches.

    Raises:
        ValueError:
            If an argument is not positive.

    Example:
        >>> queue = ImageQueue(batch_size=4)
        >>> for ids in torch.arange(6).split(3):
        ...     queue.put(torch.zeros(3, 3, 8, 8, dtype=torch.uint8), ids)
        ...     print([ids.tolist() for _, ids in queue.ready()])
        []
        [[0, 1, 2, 3]]
        >>> [ids.tolist() for _, ids in queue.rest()], len(queue)
        ([[4, 5]], 0)

    """

    def __init__(self, batch_size: int, max_bytes: int = 2**26) -> None:
        check_positive("batch_size", batch_size)
        check_positive("max_bytes", max_bytes)
        self.batch_size = batch_size
        self.max_bytes = max_bytes
        self._groups: dict[tuple[torch.Size, torch.device], list[Batch]] = {}
        self._ids: set[int] = set()

    def __len__(self) -> int:
        return len(self._ids)

    def waits(self, ids: Tensor) -> Tensor:
        """Return which images are in the queue.

        Args:
            ids: Shape ``(images,)``, int64.

        Returns:
            Shape ``(images,)``, bool.

        """
        return torch.tensor([key in self._ids for key in ids.tolist()], dtype=torch.bool)

    def put(self, images: Tensor, ids: Tensor) -> None:
        """Add images that are not in the queue.

        Args:
            images: Shape ``(images, 3, height, width)``; they are not copied.
            ids: Shape ``(images,)``, int64, on the CPU.

        """
        if len(ids):
            self._groups.setdefault((images.shape[1:], images.device), []).append((images, ids))
            self._ids.update(ids.tolist())

    def ready(self) -> Iterator[Batch]:
        """Take out full batches, and more while too many bytes wait.

        Returns:
            Images of one size and their ids.

        """
        for group in list(self._groups):
            yield from self._take(group, self._count(group) // self.batch_size * self.batch_size)
        while self._num_bytes() > self.max_bytes:
            yield from self._take(max(self._groups, key=self._count), self.batch_size)

    def rest(self) -> Iterator[Batch]:
        """Take out everything.

        Returns:
            Images of one size and their ids.

        """
        for group in list(self._groups):
            yield from self._take(group, self._count(group))

    def _count(self, group: tuple[torch.Size, torch.device]) -> int:
        return sum(len(ids) for _, ids in self._groups[group])

    def _num_bytes(self) -> int:
        return sum(images.nbytes for parts in self._groups.values() for images, _ in parts)

    def _take(self, group: tuple[torch.Size, torch.device], count: int) -> Iterator[Batch]:
        """Take out the oldest images of a group in batches; what stays holds on to no memory of what goes."""
        if not count:
            return
        parts = self._groups.pop(group)
        images, ids = torch.cat([images for images, _ in parts]), torch.cat([ids for _, ids in parts])
        self._ids.difference_update(ids[:count].tolist())
        if len(ids) > count:
            self._groups[group] = [(images[count:].clone(), ids[count:])]
        batches = torch.split(images[:count], self.batch_size), torch.split(ids[:count], self.batch_size)
        yield from zip(*batches, strict=True)
