"""Labels that another tool has given."""

import csv
import math
from dataclasses import dataclass
from pathlib import Path

_NEEDED = ("layer", "unit", "description")


@dataclass(frozen=True)
class GivenLabel:
    """The label that another tool gives a neuron.

    Args:
        layer: Name of the layer, as the tool calls it.
        unit: Index of the neuron within it, from 0.
        label: The label.
        similarity: How sure the tool is, in its own units; NaN if it does not say.

    """

    layer: str
    unit: int
    label: str
    similarity: float = math.nan


def read_labels(path: Path | str) -> tuple[GivenLabel, ...]:
    r"""Read labels in the form of CLIP-Dissect and CoSy: a table with a row per neuron.

    Args:
        path: A CSV file with the columns ``layer``, ``unit`` and ``description``, and ``similarity`` if there is one;
            others do not count.

    Raises:
        ValueError:
            If a column is missing, there is no row, a unit is not a whole number from 0 or a neuron has two labels.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder, "descriptions.csv")
        ...     _ = file.write_text('layer,unit,description,similarity\nlayer4,7,"cat, sleeping",0.5\n')
        ...     read_labels(file)
        (GivenLabel(layer='layer4', unit=7, label='cat, sleeping', similarity=0.5),)

    """
    with Path(path).open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        missing = [name for name in _NEEDED if name not in (rows.fieldnames or ())]
        if missing:
            raise ValueError(f"Expected {str(path)!r} to have the columns {list(_NEEDED)} but it has no {missing}.")
        found = [_label(row, f"row {number} of {str(path)!r}") for number, row in enumerate(rows, start=1)]
    if not found:
        raise ValueError(f"Expected {str(path)!r} to hold labels but it holds none.")
    known: set[tuple[str, int]] = set()
    for label in found:
        if (label.layer, label.unit) in known:
            raise ValueError(f"Expected one label per neuron but {str(path)!r} has two for {label.layer} {label.unit}.")
        known.add((label.layer, label.unit))
    return tuple(found)


def _label(row: dict[str, str | None], where: str) -> GivenLabel:
    unit, label = (row["unit"] or "").strip(), (row["description"] or "").strip()
    if not unit.isdecimal():
        raise ValueError(f"Expected `unit` to be a whole number from 0 but got {unit!r} in {where}.")
    if not label:
        raise ValueError(f"Expected `description` to be a label but it is empty in {where}.")
    similarity = (row.get("similarity") or "").strip()
    try:
        number = float(similarity) if similarity else math.nan
    except ValueError as error:
        raise ValueError(f"Expected `similarity` to be a number but got {similarity!r} in {where}.") from error
    return GivenLabel((row["layer"] or "").strip(), int(unit), label, number)
