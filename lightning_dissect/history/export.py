"""A table of columns as the content of a file that other programs read."""

import csv
import io
import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from lightning_dissect.array_archive import Array
from lightning_dissect.checks import require_package

Table = Mapping[str, Array]


def to_csv(table: Table) -> bytes:
    r"""Return a table as CSV in UTF-8, lines ending with ``\r\n`` (RFC 4180); what is not finite is an empty cell.

    Texts stand letter for letter, for programs.

    Args:
        table: Columns of equal length by name, numbers or texts, as `DissectionHistory.table` returns them.

    Example:
        >>> to_csv({"unit": np.array([0, 1]), "quality": np.array([0.4, np.nan], np.float32)})
        b'unit,quality\r\n0,0.4\r\n1,\r\n'

    """
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(table)
    writer.writerows(zip(*map(_values, table.values()), strict=True))
    return buffer.getvalue().encode("utf-8")


def to_json(table: Table) -> bytes:
    r"""Return a table as JSON, a list of one object per row, which pandas reads; what is not finite is ``null``.

    Args:
        table: See `to_csv`.

    Example:
        >>> to_json({"unit": np.array([0, 1]), "quality": np.array([0.4, np.nan], np.float32)})
        b'[{"unit": 0, "quality": 0.4},\n{"unit": 1, "quality": null}]\n'

    """
    rows = zip(*map(_values, table.values()), strict=True)
    lines = (json.dumps(dict(zip(table, row, strict=True)), ensure_ascii=False, allow_nan=False) for row in rows)
    return ("[" + ",\n".join(lines) + "]\n").encode("utf-8")


def to_parquet(table: Table) -> bytes:
    """Return a table as Parquet, with the types of its columns; NaN is null.

    Args:
        table: See `to_csv`.

    Raises:
        ModuleNotFoundError:
            If pyarrow is not installed.

    """
    require_package("pyarrow", "lightning-dissect[parquet]", "Parquet")
    import pyarrow
    from pyarrow import parquet

    columns = {name: pyarrow.array(column, from_pandas=True) for name, column in table.items()}
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), buffer)
    return buffer.getvalue()


FORMATS: Mapping[str, Callable[[Table], bytes]] = MappingProxyType(
    {"csv": to_csv, "json": to_json, "parquet": to_parquet}
)
"""What makes a file of a table, by the ending of the file."""


def _values(column: Array) -> list[Any]:
    """Return a column as plain values, ``None`` for what is not finite; decimals have no digit too many."""
    if column.dtype.kind != "f":
        return list(column.tolist())
    finite = np.isfinite(column)
    texts = column.astype(str).tolist()
    return [float(text) if known else None for text, known in zip(texts, finite.tolist(), strict=True)]
