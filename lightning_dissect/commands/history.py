"""The command that shows and exports the history of a run."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from lightning_dissect.commands.files import check_files
from lightning_dissect.commands.table import aligned, decimal, percent
from lightning_dissect.history import ALL_LAYERS, DissectionHistory, curves
from lightning_dissect.history.export import FORMATS, Table
from lightning_dissect.whole_files import write_whole

HEADER = (
    *("cycle", "epoch", "step", "neurons", "labelled", "dead", "coverage", "gained", "lost"),
    *("churn", "by chance", "settled", "quality"),
)
LEGEND = (
    "coverage: different labels that are reliable; gained, lost: since the dissection before",
    "churn: neurons whose label differs from that before; by chance: as many would differ on other images",
    "settled: labels that have stayed",
)

Format = Literal["csv", "json", "parquet"]


def history(run: str, *, output: str | None = None, format: Format | None = None, layer: str | None = None) -> None:  # noqa: A002 - the word of the command line
    """Show how labels came, changed and settled in a run, or export every label it ever gave.

    Printed is one row per dissection. With --output the whole history is written instead: one row per neuron and
    dissection with its label, quality, interval, trust, metrics and verdicts, as pandas and spreadsheets read it.

    Args:
        run: The folder of a run, such as lightning_logs/version_0/dissection.
        output: File for all rows.
        format: How they are written, csv, json or parquet (extra "parquet"); by default as --output ends.
        layer: A layer, by its full name, instead of all of them.

    """
    check_files(output=output)
    found = DissectionHistory.load(run)
    if layer is not None and layer not in found.layers:
        raise ValueError(f"Expected --layer to be one of {', '.join(found.layers)} but got {layer!r}.")
    if output is not None:
        table = _table(found, layer)
        write_whole(Path(output), _writer(output, format)(table))
        print(f"{len(table['unit']):,} rows of {len(found)} dissections are in {Path(output).resolve()}.")
    elif format is not None:
        raise ValueError("Expected --output to name a file where --format says how it is written but got none.")
    else:
        print("\n".join(_lines(found, layer)))


def _writer(output: str, form: Format | None) -> Callable[[Table], bytes]:
    write = FORMATS.get(Path(output).suffix.removeprefix(".") if form is None else form)
    if write is None:
        endings = ", ".join(f".{name}" for name in FORMATS)
        raise ValueError(f"Expected --output to end in {endings}, or --format to be given, but got {output!r}.")
    return write


def _table(found: DissectionHistory, layer: str | None) -> Table:
    table = found.table()
    return table if layer is None else {name: column[table["layer"] == layer] for name, column in table.items()}


def _lines(found: DissectionHistory, layer: str | None) -> Iterator[str]:
    yield from aligned(HEADER, _rows(found, layer), texts=0)
    yield from ("", *LEGEND)
    if layer is None and len(found.layers) > 1:
        yield f"Layers, for --layer: {', '.join(found.layers)}."


def _rows(found: DissectionHistory, layer: str | None) -> Iterator[Sequence[str]]:
    values = curves(found)[ALL_LAYERS if layer is None else layer]
    for place, snapshot in enumerate(found):
        of = {name: float(curve[place]) for name, curve in values.items()}
        neurons = len(snapshot) if layer is None else len(snapshot.of_layer(layer))
        yield (
            *(str(number) for number in (snapshot.cycle, snapshot.epoch, snapshot.step)),
            *(f"{neurons:,}", percent(of["labelled_share"]), percent(of["dead_share"])),
            *(decimal(of[name]) for name in ("coverage", "gained", "lost")),
            *(percent(of[name]) for name in ("churn", "churn_floor", "settled_share")),
            decimal(of["quality"], 3),
        )
