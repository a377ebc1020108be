"""Fingerprints that need not be computed again while the files they were computed from stay as they are."""

import json
import sys
import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol, runtime_checkable

from lightning_dissect.fingerprint import fingerprint

SETTLED_SECONDS = 2.0
"""How long before it was read a file must have changed last; the time of a change is no finer on some file systems."""


@runtime_checkable
class TraceableEncoder(Protocol):
    """An encoder that says what its fingerprint depends on, so that it need not be loaded to know it."""

    def fingerprint(self) -> str:
        """See `ImageTextEncoder.fingerprint`."""
        ...

    def recipe(self) -> Sequence[str] | None:
        """Return all that the fingerprint depends on besides files: what was asked for, versions of packages.

        It must cost next to nothing. ``None`` means that the fingerprint has to be computed.
        """
        ...

    def source_files(self) -> Sequence[Path] | None:
        """Return the files of weights, tokeniser and configuration; asked for only once the encoder is loaded.

        ``None`` means that they are not known.
        """
        ...


class FingerprintMemo:
    """Remembers fingerprints as `make` does: by the recipe, and by size, times and inode of all files.

    One small file per recipe names the files that went into it. Where one of them has changed or is missing, or where
    the memo itself is damaged, nothing is remembered. Any number of processes may use one folder.

    Args:
        dirpath: Folder of the memo; it is made if need be.

    Example:
        >>> import time
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     weights = Path(folder, "weights")
        ...     _ = weights.write_text("1 2 3")
        ...     memo = FingerprintMemo(Path(folder, "memo"))
        ...     memo.remember(["model"], [weights], "key", read_at=time.time() + 10)
        ...     before = memo.recall(["model"]), memo.recall(["other"])
        ...     _ = weights.write_text("1 2 3 4")
        ...     before, memo.recall(["model"])
        (('key', None), None)

    """

    def __init__(self, dirpath: Path) -> None:
        self.dirpath = dirpath

    def recall(self, recipe: Sequence[str]) -> str | None:
        """Return the fingerprint of what a recipe gave, ``None`` if it has to be computed.

        Args:
            recipe: See `TraceableEncoder.recipe`.

        """
        try:
            checksum, text = self._file(recipe).read_text(encoding="utf-8").split("\n", 1)
            if checksum != fingerprint(text):
                return None
            entry = json.loads(text)
            unchanged = stamps(map(Path, entry["files"])) == entry["files"]
        except (OSError, ValueError):
            return None
        return str(entry["fingerprint"]) if unchanged else None

    def remember(self, recipe: Sequence[str], files: Sequence[Path], value: str, read_at: float) -> None:
        """Keep a fingerprint, unless a file changed after it was read or so shortly before that one cannot tell.

        A folder that cannot be written to is no error: the fingerprint will be computed again.

        Args:
            recipe: See `TraceableEncoder.recipe`.
            files: See `TraceableEncoder.source_files`.
            value: The fingerprint.
            read_at: When reading the files began, in seconds since the epoch.

        """
        with suppress(OSError):
            text = json.dumps({"fingerprint": value, "files": stamps(files)})
            stats = [file.stat() for file in files if file.is_file()]
            times = [max(stat.st_mtime_ns, stat.st_ctime_ns) for stat in stats]
            if max(times, default=0) > (read_at - SETTLED_SECONDS) * 1e9:
                return
            self.dirpath.mkdir(parents=True, exist_ok=True)
            unfinished = self.dirpath / f".{uuid.uuid4().hex}.unfinished"
            unfinished.write_text(f"{fingerprint(text)}\n{text}", encoding="utf-8")
            unfinished.replace(self._file(recipe))

    def forget(self, recipe: Sequence[str]) -> None:
        """Remove what is remembered of a recipe.

        Args:
            recipe: See `TraceableEncoder.recipe`.

        """
        with suppress(OSError):
            self._file(recipe).unlink()

    def _file(self, recipe: Sequence[str]) -> Path:
        """Return the file of a recipe; the code that computes fingerprints is part of every recipe."""
        folder = Path(__file__).parent
        code = [*folder.glob("*.py"), folder.parent / "fingerprint.py"]
        return self.dirpath / f"{fingerprint(recipe, sys.prefix, json.dumps(stamps(sorted(code))))}.json"


def stamps(files: Iterable[Path]) -> dict[str, list[int] | list[str]]:
    """Return what shows that a file or a folder's list of files has changed, without reading a file.

    Args:
        files: Files or folders.

    Returns:
        Size, time of modification and of change in nanoseconds, and inode of a file, and the names of the files in a
        folder, by absolute path.

    Raises:
        OSError:
            If one does not exist.

    """
    return {str(file.absolute()): stamp(file) for file in files}


def stamp(file: Path) -> list[int] | list[str]:
    """Return the stamp of one file or folder; see `stamps`.

    Args:
        file: A file or a folder.

    Raises:
        OSError:
            If it does not exist.

    """
    if file.is_dir():
        return sorted(entry.name for entry in file.iterdir() if entry.is_file())
    stat = file.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
