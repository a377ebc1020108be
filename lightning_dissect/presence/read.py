"""Presence from a file of the user's."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lightning_dissect.presence.given import GivenPresence

_SAMPLE_ID = "sample_id"


def read_presence(path: str | Path, concepts: Sequence[str] | None = None) -> GivenPresence:
    r"""Read a matrix of concept presence.

    Args:
        path: ``.csv`` in UTF-8, whose first line names the concepts and whose other lines are images; a column
            ``sample_id`` says which, without it they are a dataset in its order. Or ``.npy`` with an array of shape
            ``(images, concepts)``, which stays on disk until parts of it are asked for.
        concepts: The concepts wanted, in this order. For an array, which has no names, these are the names of its
            columns.

    Raises:
        FileNotFoundError:
            If there is no such file.
        ValueError:
            If the file is of another kind, is damaged, holds anything but probabilities, or lacks a concept.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     file = Path(folder) / "presence.csv"
        ...     _ = file.write_text("sample_id,cat,dog\n7,0.25,1\n3,0,0.5\n")
        ...     presence = read_presence(file, ["dog", "cat"])
        >>> presence.sample_ids, presence.columns(slice(None))
        (tensor([7, 3]), tensor([[1.0000, 0.2500],
                [0.5000, 0.0000]], dtype=torch.float64))

    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise FileNotFoundError(f"Expected `path` to be a file with presence but there is no file {str(path)!r}.")
    if file.suffix == ".csv":
        presence = _read_csv(file)
        return presence if concepts is None else presence.aligned(concepts)
    if file.suffix == ".npy":
        return GivenPresence(_read_npy(file), concepts)
    raise ValueError(f"Expected `path` to end in .csv or .npy but got {str(path)!r}.")


def _read_npy(file: Path) -> Tensor:
    try:
        return torch.from_numpy(np.load(file, mmap_mode="c", allow_pickle=False))
    except (ValueError, TypeError, EOFError) as error:
        raise ValueError(f"Expected {str(file)!r} to hold an array of numbers but got: {error}") from error


def _read_csv(file: Path) -> GivenPresence:
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            lines = csv.reader(stream)
            header = [" ".join(name.split()) for name in next(lines, [])]
            place = header.index(_SAMPLE_ID) if _SAMPLE_ID in header else None
            rows = [_numbers(file, lines.line_num, line, len(header), place) for line in lines if line]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(
            f"Expected {str(file)!r} to be a CSV file in UTF-8 but got one that is not: {error}"
        ) from error
    if not rows:
        raise ValueError(f"Expected {str(file)!r} to name concepts and hold a line per image but got no line of these.")
    sample_ids = None if place is None else torch.tensor([sample_id for sample_id, _ in rows])
    names = [name for column, name in enumerate(header) if column != place]
    return GivenPresence(torch.from_numpy(np.stack([values for _, values in rows])), names, sample_ids)


def _numbers(
    file: Path, number: int, line: list[str], width: int, place: int | None
) -> tuple[int, npt.NDArray[np.float64]]:
    """Return the sample id of a line, -1 if it says none, and its presence."""
    if len(line) != width:
        raise ValueError(
            f"Expected line {number} of {str(file)!r} to hold {width} values, as the first does, but got {len(line)}."
        )
    try:
        sample_id = -1 if place is None else int(line.pop(place))
        return sample_id, np.array(line, dtype=np.float64)
    except ValueError as error:
        raise ValueError(f"Expected line {number} of {str(file)!r} to hold numbers but got: {error}") from error
