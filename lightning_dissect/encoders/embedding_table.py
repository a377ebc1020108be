"""A table of embeddings by 64-bit id that several processes may share through one folder."""

import uuid
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightning_dissect.fingerprint import fingerprint

FORMAT = "lightning_dissect.embeddings.1"


class EmbeddingTable:
    """Embeddings by id: in memory, and as files that are only ever added to.

    Every `flush` writes what is new as one file of its own under a name that nobody else takes, whole or not at all, so
    any number of processes may write into one folder. The folder is read once, on construction. A file that is damaged
    or of another origin is reported and left out.

    Args:
        kind: What is embedded; part of the file names, so that tables of several kinds share a folder.
        dirpath: Folder of the files; ``None`` keeps the table in memory only.
        origin: What the embeddings come from; files of another origin are not read.

    Example:
        >>> table = EmbeddingTable("images", None, "demo")
        >>> table.add(torch.tensor([7, 9]), torch.eye(2))
        >>> table.get(torch.tensor([9]))
        tensor([[0., 1.]])

    """

    def __init__(self, kind: str, dirpath: Path | None, origin: str) -> None:
        self.kind = kind
        self.dirpath = dirpath
        self.origin = origin
        self._rows: dict[int, int] = {}
        self._buffer = torch.empty(0, 0)
        self._unsaved: list[int] = []
        if dirpath is not None and dirpath.is_dir():
            for file in sorted(dirpath.glob(f"{kind}-*.safetensors")):
                self._load(file)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def num_bytes(self) -> int:
        """Bytes of all embeddings."""
        return len(self) * self._buffer.shape[1] * self._buffer.element_size()

    def known(self, ids: Tensor) -> Tensor:
        """Return which ids have an embedding.

        Args:
            ids: Shape ``(items,)``, int64.

        Returns:
            Shape ``(items,)``, bool.

        """
        return torch.tensor([key in self._rows for key in ids.tolist()], dtype=torch.bool)

    def add(self, ids: Tensor, embeddings: Tensor, *, save: bool = True) -> None:
        """Add embeddings. An id that is there already keeps the embedding it has.

        Args:
            ids: Shape ``(items,)``, int64.
            embeddings: Shape ``(items, dimensions)``.
            save: Whether `flush` writes them; what another process embedded is for that process to write.

        Raises:
            ValueError:
                If the embeddings do not fit the ids or the table, or are not finite.

        """
        check_embeddings(ids, embeddings, self._buffer.shape[1] if self._rows else None)
        fresh: dict[int, int] = {}
        for position, key in enumerate(ids.tolist()):
            if key not in self._rows:
                fresh.setdefault(key, position)
        if fresh:
            start, end = len(self), len(self) + len(fresh)
            self._reserve(end, embeddings.shape[1])
            with torch.no_grad():
                self._buffer[start:end] = embeddings[list(fresh.values())]
            self._rows.update(zip(fresh, range(start, end), strict=True))
            self._unsaved += fresh if save else ()

    def retain(self, ids: Tensor) -> None:
        """Forget all embeddings but some, as if the others had never been there; files stay as they are.

        Args:
            ids: What stays, shape ``(items,)``, int64; ids without an embedding do not matter.

        """
        wanted = set(ids.tolist())
        kept = {key: row for key, row in self._rows.items() if key in wanted}
        with torch.inference_mode(mode=False):
            self._buffer = self._buffer[torch.tensor(list(kept.values()), dtype=torch.int64)]
        self._rows = {key: row for row, key in enumerate(kept)}
        self._unsaved = [key for key in self._unsaved if key in self._rows]

    def get(self, ids: Tensor) -> Tensor:
        """Return embeddings.

        Args:
            ids: Shape ``(items,)``, int64.

        Returns:
            Shape ``(items, dimensions)``, float32.

        Raises:
            KeyError:
                If an id has no embedding.

        """
        keys = ids.tolist()
        missing = [key for key in keys if key not in self._rows]
        if missing or not keys:
            raise KeyError(
                f"Expected ids of {self.kind} that were embedded before, at least one, but {len(missing)} of "
                f"{len(keys)} were not, such as {missing[:3]}; embed them first."
            )
        return self._buffer[torch.tensor([self._rows[key] for key in keys])]

    def flush(self) -> None:
        """Write what was added since the last call; does nothing for a table in memory."""
        if self.dirpath is None or not self._unsaved:
            return
        from safetensors.torch import save_file

        self.dirpath.mkdir(parents=True, exist_ok=True)
        ids = torch.tensor(self._unsaved)
        embeddings = self.get(ids)
        name = f"{self.kind}-{uuid.uuid4().hex}.safetensors"
        unfinished = self.dirpath / f".{name}.unfinished"
        save_file({"ids": ids, "embeddings": embeddings}, unfinished, metadata=self._signature(ids, embeddings))
        unfinished.replace(self.dirpath / name)
        self._unsaved = []

    def _reserve(self, items: int, dimensions: int) -> None:
        """Make room; a buffer that is full is replaced by one twice as long."""
        if items > len(self._buffer):
            with torch.inference_mode(mode=False):
                buffer = torch.empty(max(items, 2 * len(self._buffer)), dimensions)
                if self._rows:
                    buffer[: len(self)] = self._buffer[: len(self)]
            self._buffer = buffer

    def _signature(self, ids: Tensor, embeddings: Tensor) -> dict[str, str]:
        return {
            "format": FORMAT,
            "kind": self.kind,
            "origin": self.origin,
            "checksum": fingerprint(ids, embeddings),
        }

    def _load(self, file: Path) -> None:
        try:
            self.add(*self._read(file), save=False)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a file, its embeddings can be computed again
            warnings.warn(f"Left out the cached embeddings in {file}; remove the file. Reason: {error}", stacklevel=2)

    def _read(self, file: Path) -> tuple[Tensor, Tensor]:
        from safetensors import safe_open

        with safe_open(file, framework="pt") as shard:
            opened: Any = shard
            ids, embeddings = opened.get_tensor("ids"), opened.get_tensor("embeddings")
            metadata = opened.metadata()
        if metadata != self._signature(ids, embeddings):
            raise ValueError(f"expected the content that was written for {self.origin!r} but got {metadata}.")
        return ids, embeddings


def check_embeddings(ids: Tensor, embeddings: Tensor, dimensions: int | None) -> None:
    """Check that there is one finite embedding per id.

    Args:
        ids: Shape ``(items,)``.
        embeddings: Shape ``(items, dimensions)``.
        dimensions: Number of dimensions that the table holds; ``None`` if it is empty.

    Raises:
        ValueError:
            If shapes or values differ.

    """
    if (
        embeddings.ndim != 2
        or len(embeddings) != len(ids)
        or embeddings.shape[1] != (dimensions or embeddings.shape[1])
    ):
        raise ValueError(
            f"Expected embeddings of shape ({len(ids)}, {dimensions or 'dimensions'}) from the encoder but got "
            f"{tuple(embeddings.shape)}."
        )
    if not embeddings.isfinite().all():
        raise ValueError("Expected finite embeddings from the encoder but got NaN or infinity.")
