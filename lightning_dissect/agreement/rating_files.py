r"""Ratings in files: CSV and JSON as the rating sheet saves them.

In CSV, a text that a spreadsheet would run as a formula (it begins with ``= + - @``, a tab or a carriage return) has an
apostrophe in front, and one that begins with an apostrophe has another; reading takes it off again, so that every label
comes back as it was. Lines end with ``\r\n`` (RFC 4180), the encoding is UTF-8 with a byte-order mark, by which
spreadsheets know it.
"""

import csv
import io
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lightning_dissect.agreement.ratings import Rating

COLUMNS = ("rater", "layer", "unit", "label", "answer", "seconds", "note")
FORMAT = "lightning_dissect ratings 1"
"""What ``format`` says in a JSON file of ratings."""

_REQUIRED = COLUMNS[:5]
_TEXTS = ("rater", "layer", "label", "note")
_DELIMITERS = ",;\t"
_REMEDY = "Save the sheet again, or put this one value right."


def read_ratings(*paths: Path | str) -> tuple[Rating, ...]:
    """Read the ratings of any number of files.

    A spreadsheet may have saved the file again: columns may stand in another order, semicolons or tabs may part them,
    and ``seconds`` and ``note`` may be missing.

    Args:
        paths: Files that end in ``.csv`` or ``.json``, oldest first: of several ratings of a person for the same label
            `latest` keeps the last. The names of saved files end in the time, so that sorted they are in this order.

    Raises:
        ValueError:
            If a file is none of ratings or a value in it is not what it has to be; the message names file, line and
            value.

    Example:
        >>> import tempfile
        >>> ratings = (Rating("ana", "fc", 0, "=cat", "yes", 2.5), Rating("ana", "fc", 1, 'a "dog"', "no"))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "ratings-ana.csv")
        ...     _ = path.write_text(ratings_to_csv(ratings), newline="")
        ...     [rating.label for rating in read_ratings(path)]
        ['=cat', 'a "dog"']

    """
    return tuple(rating for path in paths for rating in _read(Path(path)))


def ratings_to_csv(ratings: Iterable[Rating]) -> str:
    r"""Return ratings as the text of a CSV file; write it with ``newline=""``.

    Args:
        ratings: The ratings.

    Example:
        >>> ratings_to_csv([Rating("ana", "fc", 0, "=cat", "yes", 2.5)]).splitlines()
        ['\ufeffrater,layer,unit,label,answer,seconds,note', "ana,fc,0,'=cat,yes,2.5,"]

    """
    buffer = io.StringIO()
    buffer.write("\ufeff")
    writer = csv.writer(buffer)
    writer.writerow(COLUMNS)
    writer.writerows([_cell(getattr(rating, name)) for name in COLUMNS] for rating in ratings)
    return buffer.getvalue()


def _read(path: Path) -> list[Rating]:
    readers: Mapping[str, Callable[[Path], Iterator[Rating]]] = {".csv": _read_csv, ".json": _read_json}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise ValueError(f"Expected `paths` to end in .csv or .json but got {str(path)!r}.")
    try:
        return list(reader(path))
    except UnicodeDecodeError as error:
        raise ValueError(f"Expected {str(path)!r} to be in UTF-8 but it is not; save it as 'CSV UTF-8'.") from error


def _read_csv(path: Path) -> Iterator[Rating]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        head = file.readline()
        delimiter = max(_DELIMITERS, key=head.count)
        columns = next(csv.reader([head], delimiter=delimiter), [])
        missing = [name for name in _REQUIRED if name not in columns]
        if missing:
            raise ValueError(f"Expected {str(path)!r} to have the columns {list(_REQUIRED)} but {missing} are missing.")
        reader = csv.reader(file, delimiter=delimiter)
        line = 2
        for cells in reader:
            if any(cells):
                where = f"line {line} of {str(path)!r}"
                if len(cells) != len(columns):
                    raise ValueError(f"Expected {where} to have {len(columns)} cells but got {len(cells)}. {_REMEDY}")
                values: dict[str, Any] = dict(zip(columns, cells, strict=True))
                yield _rating(values | {name: _text(values.get(name, "")) for name in _TEXTS}, where)
            line = reader.line_num + 2


def _read_json(path: Path) -> Iterator[Rating]:
    try:
        record = json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise ValueError(f"Expected {str(path)!r} to be JSON but line {error.lineno} is not: {error.msg}.") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT or not isinstance(record.get("ratings"), list):
        raise ValueError(
            f"Expected {str(path)!r} to be a file of ratings ('format': {FORMAT!r}, 'ratings': [...]), as the rating "
            "sheet saves it, but it is not."
        )
    for number, values in enumerate(record["ratings"], start=1):
        where = f"rating {number} of {str(path)!r}"
        if not isinstance(values, dict):
            raise ValueError(f"Expected {where} to be an object but got {values!r}. {_REMEDY}")
        rater = values.get("rater", record.get("rater"))
        yield _rating(
            values | {"rater": rater, "seconds": values.get("seconds"), "note": values.get("note", "")}, where
        )


def _rating(values: Mapping[str, Any], where: str) -> Rating:
    missing = [name for name in _REQUIRED if values.get(name) is None]
    if missing:
        raise ValueError(f"Expected {where} to have {list(_REQUIRED)} but {missing} are missing. {_REMEDY}")
    strange = [name for name in _TEXTS if not isinstance(values[name], str)]
    if strange:
        raise ValueError(f"Expected `{strange[0]}` in {where} to be a text but got {values[strange[0]]!r}. {_REMEDY}")
    try:
        return Rating(
            rater=values["rater"].strip(),
            layer=values["layer"],
            unit=_unit(values["unit"]),
            label=values["label"],
            answer=str(values["answer"]).strip().lower(),  # type: ignore[arg-type]  # Rating says what is wrong with it
            seconds=_seconds(values.get("seconds")),
            note=values["note"],
        )
    except ValueError as error:
        raise ValueError(f"{error} This is {where}. {_REMEDY}") from error


def _unit(value: object) -> int:
    number = _number(value)
    if not number.is_integer():
        raise ValueError(f"Expected `unit` to be a whole number but got {value!r}.")
    return int(number)


def _seconds(value: object) -> float:
    number = _number(value)
    if math.isnan(number) and value is not None and value != "":
        raise ValueError(f"Expected `seconds` to be a number but got {value!r}.")
    return number


def _number(value: object) -> float:
    """Return a number from a cell, with a decimal comma or point, or from JSON; NaN if it is none."""
    try:
        return float(str(value).replace(",", "."))
    except ValueError:
        return math.nan


def _text(cell: str) -> str:
    return cell[1:] if re.match(r"'[=+\-@\t\r']", cell) else cell


def _cell(value: object) -> object:
    if isinstance(value, float):
        return "" if math.isnan(value) else value
    return f"'{value}" if isinstance(value, str) and re.match(r"[=+\-@\t\r']", value) else value
