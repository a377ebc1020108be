"""Small pictures of probe images that cannot be read again."""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from lightning_dissect.checks import check_positive
from lightning_dissect.types import Picture

_SMALLEST_SIZE = 16
_ELEMENTS_AT_ONCE = 2**21


class Thumbnails:
    """Keeps a small picture per sample id, within a budget of bytes.

    Args:
        size: Longest side of a picture in pixels; smaller images are kept as they are.
        budget: Most bytes held; further pictures are dropped, and `full` asks the owner to `make_room`.

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
        self._dropped = False

    def __len__(self) -> int:
        return len(self._pictures)

    @property
    def num_bytes(self) -> int:
        """Bytes held now."""
        return self._bytes

    @property
    def full(self) -> bool:
        """Whether the budget is used up or a picture was dropped for it, since there last was room made."""
        return self._dropped or self._bytes >= self.budget

    def update(self, sample_ids: Tensor, images: Tensor) -> None:
        """Keep pictures of the images whose id is new, as long as there is room.

        Args:
            sample_ids: Ids of the images, shape ``(images,)``.
            images: Canonical probe images, shape ``(images, 3, height, width)``, uint8.

        """
        ids = sample_ids.tolist()
        new = [row for row, sample_id in enumerate(ids) if sample_id not in self._pictures]
        at_once = max(1, _ELEMENTS_AT_ONCE // max(1, images[:1].numel()))
        for start in range(0, len(new), at_once):
            if self.full:
                return
            rows = new[start : start + at_once]
            for row, picture in zip(rows, _shrink(images[rows], self.size), strict=True):
                self.add(ids[row], picture.copy())

    def add(self, sample_id: int, picture: Picture) -> None:
        """Keep one picture as it is, unless there is no room.

        Args:
            sample_id: Id of the image.
            picture: Shape ``(height, width, 3)``, uint8.

        """
        if sample_id in self._pictures:
            return
        if self._bytes + picture.nbytes > self.budget:
            self._dropped = True
            return
        self._pictures[sample_id] = picture
        self._bytes += picture.nbytes

    def prune(self, sample_ids: Iterable[int]) -> None:
        """Forget every picture but those of ``sample_ids``.

        Args:
            sample_ids: Ids whose pictures stay.

        """
        self._replace(self.pictures(sample_ids))

    def make_room(self, sample_ids: Iterable[int]) -> None:
        """Forget every picture but those of ``sample_ids``, and use at most half of the budget for them.

        Where they need more, `size` is halved for all pictures, these and later ones, down to 16 pixels: every image
        that is shown has a picture, and room is seldom made twice.

        Args:
            sample_ids: Ids whose pictures stay.

        """
        self.prune(sample_ids)
        while self._bytes > self.budget // 2 and self.size > _SMALLEST_SIZE:
            self.size = max(_SMALLEST_SIZE, self.size // 2)
            self._replace({sample_id: _resized(picture, self.size) for sample_id, picture in self._pictures.items()})

    def pictures(self, sample_ids: Iterable[int]) -> dict[int, Picture]:
        """Return the pictures held of ``sample_ids``, each ``(height, width, 3)`` uint8.

        Args:
            sample_ids: Ids asked for; those without a picture are left out.

        """
        return {sample_id: self._pictures[sample_id] for sample_id in sample_ids if sample_id in self._pictures}

    def _replace(self, pictures: dict[int, Picture]) -> None:
        self._pictures = pictures
        self._bytes = sum(picture.nbytes for picture in pictures.values())
        self._dropped = False


def _resized(picture: Picture, size: int) -> Picture:
    smaller: Picture = _shrink(torch.from_numpy(picture).permute(2, 0, 1)[None], size)[0]
    return smaller


def _shrink(images: Tensor, size: int) -> Picture:
    """Return pictures of shape ``(images, height, width, 3)``, no side longer than ``size``."""
    height, width = images.shape[-2:]
    scale = size / max(height, width)
    if scale < 1:
        target = (max(1, round(height * scale)), max(1, round(width * scale)))
        small = interpolate(images.to(torch.float32), size=target, mode="bilinear", antialias=True, align_corners=False)
        images = small.round().clamp(0, 255).to(torch.uint8)
    pictures: Picture = images.permute(0, 2, 3, 1).cpu().numpy()
    return pictures
