"""The pictures of a run on disk: each once, however many dissections show it."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from lightning_dissect.probe import content_ids
from lightning_dissect.report.montage import jpeg_bytes
from lightning_dissect.types import DissectionReport, Picture
from lightning_dissect.whole_files import write_whole
from lightning_dissect.writers.base import WRITERS

JPEG_QUALITY = 92


@WRITERS.register("pictures")
@dataclass(frozen=True)
class PicturesWriter:
    """Writes ``pictures/``: the images that a report shows or judges labels by, for those who judge it later.

    A file is called by the content of its picture, so that dissections share it; ``pictures/index-0003.json`` says
    which sample ids have which. Pictures are JPEG, with no side longer than the report's.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     images = {7: np.zeros((8, 8, 3), np.uint8)}
        ...     report = DissectionReport(1, 9, 3, (), num_images=5, images=images, dirpath=Path(folder))
        ...     PicturesWriter().write(report, [])
        ...     read_pictures(Path(folder), cycle=3)[7].shape
        (8, 8, 3)

    """

    def write(self, report: DissectionReport, loggers: Sequence[Any]) -> None:  # noqa: ARG002
        """Write a report, see `ReportWriter`; nothing is written if it has no ``dirpath`` or no pictures."""
        if report.dirpath is None or not report.images:
            return
        folder = report.dirpath / "pictures"
        folder.mkdir(parents=True, exist_ok=True)
        there = {path.name for path in folder.iterdir()}
        names = {}
        for sample_id, picture in report.images.items():
            names[sample_id] = name = f"{_content_id(picture):016x}.jpg"
            if name not in there:
                _write_picture(folder / name, picture)
                there.add(name)
        write_whole(_index_path(report.dirpath, report.cycle), json.dumps(names, separators=(",", ":")) + "\n")


class PictureFolder:
    """What `PicturesWriter` wrote of a run, for pages that show many of its dissections.

    Args:
        dirpath: Folder of the reports' run.

    Example:
        >>> PictureFolder(Path("nowhere")).names(cycle=3)
        {}

    """

    def __init__(self, dirpath: Path) -> None:
        self.dirpath = dirpath
        self._known: dict[Path, tuple[int, dict[int, str]]] = {}

    def names(self, cycle: int) -> Mapping[int, str]:
        """Return the file of each image's picture, see `PictureSource`; none if none were written."""
        index = _index_path(self.dirpath, cycle)
        if not index.exists():
            return {}
        written = index.stat().st_mtime_ns
        if self._known.get(index, (-1, {}))[0] != written:
            self._known[index] = written, _picture_names(index)
        return self._known[index][1]

    def read(self, name: str, side: int) -> Picture | None:
        """Return a picture no larger than it has to be, see `PictureSource`; ``None`` if it cannot be read."""
        return _read_picture(self.dirpath / "pictures" / name, side)


def read_pictures(dirpath: Path, cycle: int) -> dict[int, Picture]:
    """Read what `PicturesWriter` wrote of one dissection.

    Args:
        dirpath: Folder of the reports' run.
        cycle: Number of the dissection within the run, from 0.

    Returns:
        Pictures by sample id, ``(height, width, 3)`` uint8; those that cannot be read are left out, all of them if
        none were written.

    """
    index = _index_path(dirpath, cycle)
    names = _picture_names(index) if index.exists() else {}
    pictures = ((sample_id, _read_picture(index.parent / name)) for sample_id, name in names.items())
    return {sample_id: picture for sample_id, picture in pictures if picture is not None}


def _index_path(dirpath: Path, cycle: int) -> Path:
    return dirpath / "pictures" / f"index-{cycle:04d}.json"


def _picture_names(index: Path) -> dict[int, str]:
    return {int(sample_id): name for sample_id, name in json.loads(index.read_text(encoding="utf-8")).items()}


def _content_id(picture: Picture) -> int:
    return int(content_ids(torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None]))


def _write_picture(path: Path, picture: Picture) -> None:
    """Write a file that is whole for whoever finds it; one that a crash leaves broken counts as missing."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    draft.write_bytes(jpeg_bytes(Image.fromarray(picture), JPEG_QUALITY))
    draft.replace(path)


def _read_picture(path: Path, side: int | None = None) -> Picture | None:
    """Return a picture as it is, or decoded to the smallest size whose sides are not below one (JPEG can)."""
    try:
        with Image.open(path) as image:
            if side is not None:
                image.draft("RGB", (side, side))
            return np.asarray(image.convert("RGB"))
    except OSError:
        return None
