"""A fair sample of the images that pass, in a bounded room."""

import torch
from torch import Tensor

from lightning_dissect.checks import check_positive
from lightning_dissect.refine.base import ImagePool


class PoolSampler:
    """Keeps the images with the smallest content ids: as ids are hashes, a random sample in whatever order they come.

    Args:
        num_images: Most images kept.
        max_bytes: Most bytes that they may take.

    Raises:
        ValueError:
            If a number is not positive.

    Example:
        >>> from lightning_dissect.probe import content_ids
        >>> images = torch.arange(96, dtype=torch.uint8).view(8, 3, 2, 2)
        >>> sampler = PoolSampler(num_images=5)
        >>> sampler.update(images, content_ids(images))
        >>> sampler.pool().images.shape
        torch.Size([5, 3, 2, 2])

    """

    def __init__(self, num_images: int = 1024, max_bytes: int = 2**28) -> None:
        check_positive("num_images", num_images)
        check_positive("max_bytes", max_bytes)
        self.num_images = num_images
        self.max_bytes = max_bytes
        self.clear()

    def clear(self) -> None:
        """Forget all images."""
        self._images = torch.empty(0, dtype=torch.uint8)
        self._ids = torch.empty(0, dtype=torch.int64)

    def update(self, images: Tensor, content_ids: Tensor) -> None:
        """See a batch; images of another size than the first are left out.

        Args:
            images: Canonical probe images, shape ``(images, 3, height, width)``, uint8, on any device.
            content_ids: Id of each image's content, shape ``(images,)``, int64.

        """
        if not len(images) or (len(self._ids) and images.shape[1:] != self._images.shape[1:]):
            return
        most = max(1, min(self.num_images, self.max_bytes // images[0].numel()))
        ids = torch.cat([self._ids, content_ids.cpu()])
        distinct, rows = _first_rows(ids)
        order = distinct.argsort()[:most]
        kept = rows[order].sort().values
        old, new = kept[kept < len(self._ids)], kept[kept >= len(self._ids)] - len(self._ids)
        if len(new):
            arrived = images[new.to(images.device)].cpu()
            self._images = torch.cat([self._images[old], arrived]) if len(old) else arrived.clone()
            self._ids = ids[kept]

    def pool(self) -> ImagePool:
        """Return the images as a pool.

        Raises:
            ValueError:
                If there are fewer than 4 images.

        """
        if len(self._ids) < 4:
            raise ValueError(f"Expected at least 4 different images for a search but {len(self._ids)} were seen.")
        return ImagePool(self._images, self._ids)


def _first_rows(ids: Tensor) -> tuple[Tensor, Tensor]:
    """Return the distinct ids and the first row of each."""
    first = {key: row for row, key in reversed(list(enumerate(ids.tolist())))}
    return torch.tensor(list(first)), torch.tensor(list(first.values()))
