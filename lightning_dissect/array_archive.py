"""Arrays and plain values as one file."""

import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def pack_arrays(arrays: Mapping[str, Array], rest: Mapping[str, Any], schema: int, *, compressed: bool) -> bytes:
    """Return the content of a file: an archive of NumPy arrays and a text of the rest.

    Args:
        arrays: Arrays by name, none of them ``rest``.
        rest: What JSON can hold.
        schema: Version of the form, which `unpack_arrays` asks for.
        compressed: Whether the arrays are compressed.

    Example:
        >>> content = pack_arrays({"a": np.arange(2)}, {"name": "x"}, schema=1, compressed=True)
        >>> unpack_arrays(content, "a file", schema=1)
        ({'a': array([0, 1])}, {'name': 'x'})

    """
    file = io.BytesIO()
    text = np.frombuffer(json.dumps({**rest, "schema": schema}).encode(), np.uint8)
    named: dict[str, Any] = {**arrays, "rest": text}
    (np.savez_compressed if compressed else np.savez)(file, **named)
    return file.getvalue()


def unpack_arrays(content: bytes, what: str, schema: int) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return what `pack_arrays` was given.

    Args:
        content: The content of the file.
        what: What the file should hold, for the error.
        schema: The version that can be read.

    Raises:
        ValueError:
            If it is not whole or of another schema.

    """
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        arrays = dict(archive)
    rest = json.loads(arrays.pop("rest").tobytes())
    found = rest.pop("schema")
    if found != schema:
        raise ValueError(f"Expected {what} of schema {schema} but got schema {found}.")
    return arrays, rest
