"""Memory for recorded rows, in files once there is too much of it."""

import errno
import os
import shutil
import weakref
from collections.abc import Callable
from itertools import count
from pathlib import Path
from tempfile import gettempdir, mkstemp
from typing import Any

import torch
from torch import Tensor

_BYTES_PER_ELEMENT = 4


class ActivationStorage:
    """Gives room for recorded rows: in memory up to a number of bytes, mapped to temporary files beyond.

    All layers of a recorder share one, so that the limit holds for all of them together. What is mapped is a tensor
    like any other, whose pages the operating system reads and evicts as it needs; its file has no name any more and
    vanishes with it. Bytes count until nothing refers to them, whether given back on purpose or collected as garbage.
    Copies and pickles have the same settings and hold nothing.

    Args:
        max_bytes: Most bytes held in memory at a time; ``None`` means no limit, 0 that all is mapped.
        dirpath: Folder of the files, by default the system's for temporary files. It should be on a local disk: a
            folder in memory (``tmpfs``) saves none.

    Raises:
        ValueError:
            If ``max_bytes`` is negative.

    Example:
        >>> storage = ActivationStorage(max_bytes=1024)
        >>> first, second = storage.empty(32, 8), storage.empty(16, 8)
        >>> storage.bytes_in_memory, storage.bytes_in_files
        (1024, 512)
        >>> del first
        >>> storage.bytes_in_memory
        0

    """

    def __init__(self, max_bytes: int | None = None, dirpath: str | Path | None = None) -> None:
        if max_bytes is not None and max_bytes < 0:
            raise ValueError(f"Expected `max_bytes` to be at least 0 or None but got {max_bytes}.")
        self.max_bytes = max_bytes
        self.dirpath = dirpath
        self._in_memory: dict[int, int] = {}
        self._in_files: dict[int, int] = {}
        self._keys = count()

    @property
    def bytes_in_memory(self) -> int:
        """Bytes held in memory now."""
        return sum(self._in_memory.values())

    @property
    def bytes_in_files(self) -> int:
        """Bytes mapped to files now."""
        return sum(self._in_files.values())

    def empty(self, rows: int, columns: int) -> Tensor:
        """Return a tensor whose values are yet to be written.

        Args:
            rows: Number of rows.
            columns: Number of columns.

        Returns:
            Shape ``(rows, columns)``, float32, on the CPU, contiguous.

        Raises:
            OSError:
                If it has to be mapped and the folder cannot be written to or lacks room.

        """
        num_bytes = rows * columns * _BYTES_PER_ELEMENT
        fits = self.max_bytes is None or self.bytes_in_memory + num_bytes <= self.max_bytes
        with torch.inference_mode(mode=False):
            block = torch.empty(rows, columns) if fits or not num_bytes else self._mapped(rows, columns)
        held, key = self._in_memory if fits else self._in_files, next(self._keys)
        held[key] = num_bytes
        _when_freed(block, held.pop, key)
        return block

    def _mapped(self, rows: int, columns: int) -> Tensor:
        folder = str(self.dirpath or gettempdir())
        num_bytes = rows * columns * _BYTES_PER_ELEMENT
        try:
            descriptor, path = mkstemp(prefix="lightning_dissect_", dir=folder)
            try:
                _reserve(descriptor, path, num_bytes)
                elements = torch.from_file(path, shared=True, size=rows * columns, dtype=torch.float32)
            finally:
                os.close(descriptor)
                Path(path).unlink()
        except OSError as error:
            raise OSError(
                error.errno,
                f"Expected `dirpath` to have room for {num_bytes} bytes of activations but {folder!r} gave: "
                f"{error.strerror}. Choose another folder or raise `max_bytes`",
            ) from error
        return elements.view(rows, columns)

    def __getstate__(self) -> dict[str, Any]:
        return {"max_bytes": self.max_bytes, "dirpath": self.dirpath}

    def __setstate__(self, state: dict[str, Any]) -> None:
        ActivationStorage.__init__(self, **state)


def _when_freed(block: Tensor, callback: Callable[..., object], *arguments: object) -> None:
    """Call when the memory behind a tensor and all its views is freed."""
    weakref.finalize(block.untyped_storage(), callback, *arguments).atexit = False


def _reserve(descriptor: int, path: str, num_bytes: int) -> None:
    """Claim room on the disk: writing to a mapped page for which there is none would kill the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, num_bytes)
    elif shutil.disk_usage(path).free < num_bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
