"""Files that are either whole or untouched."""

import os
from pathlib import Path


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file in one step: readers see the old content or the new one, never a part.

    Folders are created. If writing fails, the file keeps its old content and nothing else is left behind.

    Args:
        path: The file.
        content: Its new content, text as UTF-8; line ends are written as they are.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_whole(Path(folder, "new", "a.txt"), "hello")
        ...     Path(folder, "new", "a.txt").read_text()
        'hello'

    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        with draft.open("wb") as file:
            file.write(content.encode("utf-8") if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
