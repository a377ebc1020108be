"""Read what an offline W&B run has put into its ``.wandb`` file.

The file is a log in LevelDB's framing: a header of seven bytes, then blocks of 32 KiB with chunks, each a header
(CRC32, length, kind) and a piece of a record. A record is one chunk (FULL) or FIRST, MIDDLE ..., LAST.
"""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2

BLOCK = 32 * 1024
FILE_HEADER = struct.Struct("<4sHB")
CHUNK_HEADER = struct.Struct("<IHB")
FULL, LAST = 1, 4


def records(path: Path) -> Iterator[Any]:
    """Yield every record of the log in the order of writing."""
    content = path.read_bytes()
    ident, magic, _ = FILE_HEADER.unpack_from(content)
    if (ident, magic) != (b":W&B", 0xBEE1):
        raise ValueError(f"Expected `path` to be a W&B log but got {path}.")
    position, pieces = FILE_HEADER.size, b""
    while position < len(content):
        left = BLOCK - position % BLOCK
        if left < CHUNK_HEADER.size:
            position += left
            continue
        _, length, kind = CHUNK_HEADER.unpack_from(content, position)
        if kind == 0:
            return
        position += CHUNK_HEADER.size
        pieces += content[position : position + length]
        position += length
        if kind in (FULL, LAST):
            yield wandb_internal_pb2.Record.FromString(pieces)
            pieces = b""


def history(path: Path) -> Iterator[dict[str, Any]]:
    """Yield every row of the history as it was logged; W&B takes dictionaries apart, here they are whole again."""
    for record in records(path):
        if record.WhichOneof("record_type") == "history":
            row: dict[str, Any] = {}
            for item in record.history.item:
                *parents, name = item.nested_key or [item.key]
                place = row
                for parent in parents:
                    place = place.setdefault(parent, {})
                place[name] = json.loads(item.value_json)
            yield row


def artifacts(path: Path) -> Iterator[dict[str, Path]]:
    """Yield for every logged artifact, such as a table, the local file behind each path in it."""
    for record in records(path):
        if record.WhichOneof("record_type") == "artifact":
            yield {content.path: Path(content.local_path) for content in record.artifact.manifest.contents}


def run_log(folder: Path) -> Path:
    """Return the log of the only run below a folder."""
    [path] = folder.rglob("*.wandb")
    return path


def alerts(path: Path) -> list[tuple[str, str, str]]:
    """Return title, text and level of every alert."""
    found = [record.alert for record in records(path) if record.WhichOneof("record_type") == "alert"]
    return [(alert.title, alert.text, alert.level) for alert in found]
