"""The history of a search on disk, written as it goes: a search that was killed goes on from it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class SearchLog:
    """A file with one JSON value per line, the first of which says what search it belongs to.

    What a proposer answered is looked up here before it is asked again, so that a search that begins anew takes the
    same way and pays for nothing twice. A line that a killed process has not finished is cut off. A file of another
    search is begun anew.

    Args:
        path: The file, made where needed; ``None`` keeps all in memory.
        origin: Key of all that the search depends on.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "history.jsonl")
        ...     SearchLog(path, "a search").add("answer", "fc 7 step 1", {"concepts": ["dog"]})
        ...     SearchLog(path, "a search").find("answer", "fc 7 step 1")
        {'concepts': ['dog']}

    """

    def __init__(self, path: Path | None, origin: str) -> None:
        self.path = path
        self._events: dict[tuple[str, str], Mapping[str, Any]] = {}
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        if not (path.is_file() and self._read(path, origin)):
            path.write_text(_line({"origin": origin}), encoding="utf-8")

    def find(self, kind: str, key: str) -> Mapping[str, Any] | None:
        """Return what was noted under a kind and a key, ``None`` if nothing was.

        Args:
            kind: Kind of event.
            key: What tells it from others of its kind.

        """
        return self._events.get((kind, key))

    def add(self, kind: str, key: str, content: Mapping[str, Any]) -> None:
        """Note an event, unless it is there already.

        Args:
            kind: Kind of event.
            key: What tells it from others of its kind.
            content: Plain values.

        """
        if (kind, key) in self._events:
            return
        self._events[kind, key] = content
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(_line({"kind": kind, "key": key, **content}))

    def _read(self, path: Path, origin: str) -> bool:
        """Read what an earlier search has left and cut off what it has not finished; say whether it was this search."""
        whole, _, unfinished = path.read_bytes().rpartition(b"\n")
        try:
            header, *events = [json.loads(line) for line in whole.splitlines()]
        except ValueError:
            return False
        if header != {"origin": origin}:
            return False
        if unfinished:
            with path.open("r+b") as file:
                file.truncate(len(whole) + 1)
        for event in events:
            self._events[event.pop("kind"), event.pop("key")] = event
        return True


def _line(content: Mapping[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False) + "\n"
