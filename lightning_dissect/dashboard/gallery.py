"""The pictures of a run in its page: each once, as small as it is shown, the newest dissection's first."""

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from lightning_dissect.history import Snapshot
from lightning_dissect.report.montage import jpeg_bytes, tile
from lightning_dissect.report.thumbnails import fitting_side
from lightning_dissect.types import Picture

SIDES = (96, 72, 56, 44)
"""Sides of a thumbnail in pixels, the largest that fits is used."""

JPEG_QUALITY = 72


class PictureSource(Protocol):
    """Knows the pictures of the dissections of a run."""

    def names(self, cycle: int) -> Mapping[int, str]:
        """Return the name of each image's picture by sample id; pictures of one name are the same.

        Args:
            cycle: Number of the dissection.

        """
        ...

    def read(self, name: str, side: int) -> Picture | None:
        """Return a picture of shape ``(height, width, 3)``, uint8, or ``None`` if there is none.

        Args:
            name: One of `names`.
            side: No side has to be longer.

        """
        ...


class Gallery:
    """Thumbnails of a run's pictures, made once however often the page is written.

    Args:
        source: Where the pictures are.

    Example:
        >>> import numpy as np
        >>> class White:
        ...     def names(self, cycle):
        ...         return {7: "white"}
        ...     def read(self, name, side):
        ...         return np.full((side, side, 3), 255, np.uint8)
        >>> from lightning_dissect.types import DissectionReport, LayerDissection, NeuronLabel, TopImage
        >>> neuron = NeuronLabel("fc", 0, "dead", top_images=(TopImage(7, 0.5), TopImage(8, 0.5)))
        >>> snapshot = Snapshot.of(DissectionReport(0, 0, 0, (LayerDissection("fc", (neuron,)),), 9))
        >>> list(Gallery(White()).thumbnails([snapshot], budget=10_000))
        ['white']

    """

    def __init__(self, source: PictureSource) -> None:
        self.source = source
        self._side = SIDES[0]
        self._encoded: dict[str, str] = {}

    def thumbnails(self, snapshots: Sequence[Snapshot], budget: int) -> dict[str, str]:
        """Return what the page shows.

        The side is the largest of `SIDES` at which, by a typical photo, all pictures of the newest dissection fit.
        Older dissections' pictures take what is left, newer ones first, and within a dissection every neuron's first
        image comes before any second one.

        Args:
            snapshots: Dissections in their order.
            budget: Most characters in all.

        Returns:
            Base64 of square JPEGs by the name of the picture.

        """
        newest_first = list(reversed(snapshots))
        newest = dict.fromkeys(self._wanted(newest_first[:1]))
        self._take_side(fitting_side(len(newest), budget, SIDES))
        shown: dict[str, str] = {}
        for name in self._wanted(newest_first):
            if name in shown:
                continue
            text = self._thumbnail(name)
            budget -= len(text)
            if budget < 0:
                break
            if text:
                shown[name] = text
        return shown

    def _wanted(self, snapshots: Iterable[Snapshot]) -> Iterator[str]:
        for snapshot in snapshots:
            names = self.source.names(snapshot.cycle)
            for sample_id in dict.fromkeys(snapshot.top_images.T.ravel().tolist()):
                if sample_id in names:
                    yield names[sample_id]

    def _take_side(self, side: int) -> None:
        if side != self._side:
            self._side, self._encoded = side, {}

    def _thumbnail(self, name: str) -> str:
        if name not in self._encoded:
            picture = self.source.read(name, self._side)
            content = b"" if picture is None else jpeg_bytes(tile(picture, self._side), JPEG_QUALITY)
            self._encoded[name] = base64.b64encode(content).decode("ascii")
        return self._encoded[name]
