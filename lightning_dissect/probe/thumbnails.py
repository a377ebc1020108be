"""Small pictures of probe images that cannot be read again."""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from lightning_dissect.checks import check_positive
from lightning_dissect.types import Picture


class Thumbnails:
    """Keeps a small picture per sample id, within a budget of bytes.

    Args:
        size: Longest side of a picture in pixels; smaller images are kept as they are.
        budget: Most bytes held before `full` asks the owner to `prune`.

    Raises:
        ValueError:
            If ``size`` or ``budget`` is not positive.

    Example:
        >>> thumbnails = Thumbnails(size=2)
        >>> thumbnails.update(torch.tensor([7]), torch.zeros(1, 3, 4, 8, dtype=torch.uint8))
        >>> thumbnails.pictures([7, 8])[7].shape
        (1, 2, 3)

    """

    def __init__(self, size: int = 160, budget: int = 512 * 2**20) -> None:
        check_positive("size", size)
        check_positive("budget", budget)
        self.size = size
        self.budget = budget
        self._pictures: dict[int, Picture] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._pictures)

    @property
    def full(self) -> bool:
        """Whether the budget is used up; further pictures are dropped until `prune` made room."""
        return self._bytes >= self.budget

    def update(self, sample_ids: Tensor, images: Tensor) -> None:
        """Keep pictures of the images whose id is new.

        Args:
            sample_ids: Ids of the images, shape ``(images,)``.
            images: Canonical probe images, shape ``(images, 3, height, width)``, uint8.

        """
        new = [row for row, sample_id in enumerate(sample_ids.tolist()) if sample_id not in self._pictures]
        if not new or self.full:
            return
        pictures = _shrink(images[new], self.size).permute(0, 2, 3, 1).cpu().numpy()
        for row, picture in zip(new, pictures, strict=True):
            self.add(int(sample_ids[row]), picture.copy())

    def add(self, sample_id: int, picture: Picture) -> None:
        """Keep one picture as it is, unless the budget is used up.

        Args:
            sample_id: Id of the image.
            picture: Shape ``(height, width, 3)``, uint8.

        """
        if sample_id not in self._pictures and not self.full:
            self._pictures[sample_id] = picture
            self._bytes += picture.nbytes

    def prune(self, sample_ids: Iterable[int]) -> None:
        """Forget every picture but those of ``sample_ids``.

        Args:
            sample_ids: Ids whose pictures stay.

        """
        self._pictures = self.pictures(sample_ids)
        self._bytes = sum(picture.nbytes for picture in self._pictures.values())

    def pictures(self, sample_ids: Iterable[int]) -> dict[int, Picture]:
        """Return the pictures held of ``sample_ids``, each ``(height, width, 3)`` uint8.

        Args:
            sample_ids: Ids asked for; those without a picture are left out.

        """
        return {sample_id: self._pictures[sample_id] for sample_id in sample_ids if sample_id in self._pictures}


def _shrink(images: Tensor, size: int) -> Tensor:
    height, width = images.shape[-2:]
    scale = size / max(height, width)
    if scale >= 1:
        return images
    target = (max(1, round(height * scale)), max(1, round(width * scale)))
    small = interpolate(images.to(torch.float32), size=target, mode="bilinear", antialias=True, align_corners=False)
    return small.round().clamp(0, 255).to(torch.uint8)
