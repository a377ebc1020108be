"""The command that shows and exports the history of a run."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from lightning_dissect.commands.files import check_files
from lightning_dissect.commands.table import aligned, decimal, percent
from lightning_dissect.history import ALL_LAYERS, DissectionHistory, curves
from lightning_dissect.history.export import FORMATS
from lightning_dissect.whole_files import write_whole

HEADER = (
    *("cycle", "epoch", "step", "neurons", "labelled", "dead", "coverage", "gained", "lost"),
    *("churn", "by chance", "settled", "quality"),
)
LEGEND = (
    "coverage: different reliable labels. churn: neurons whose label is another one than in the dissection before; "
    "by chance: as many would be on other images. settled: labels that no longer change."
)

Format = Literal["csv", "json", "parquet"]


def history(run: str, *, output: str | None = None, format: Format | None = None, layer: str = ALL_LAYERS) -> None:  # noqa: A002 - the word of the command line
    """Show how labels came, changed and settled in a run, or export every label it ever gave.

    Printed is one row per dissection. With --output the whole history is written instead: one row per neuron and
    dissection with its label, quality, interval, trust, metrics and verdicts, as pandas and spreadsheets read it.

    Args:
        run: The folder of a run, such as lightning_logs/version_0/dissection.
        output: File for all rows.
        format: How they are written, by default as the ending of --output says. Parquet needs the extra "parquet".
        layer: A layer, by its full name, that is shown instead of all of them.

    """
    check_files(output=output)
    found = DissectionHistory.load(run)
    if output is None:
        if format is not None:
            raise ValueError("Expected --output to name a file where --format says how it is written but got none.")
        print("\n".join(_lines(found, layer)))
        return
    write = FORMATS.get(Path(output).suffix.removeprefix(".") if format is None else format)
    if write is None:
        endings = ", ".join(f".{name}" for name in FORMATS)
        raise ValueError(f"Expected --output to end in {endings}, or --format to be given, but got {output!r}.")
    table = found.table()
    if layer != ALL_LAYERS:
        _check_layer(found, layer)
        table = {name: column[table["layer"] == layer] for name, column in table.items()}
    write_whole(Path(output), write(table))
    print(f"{len(table['unit']):,} rows of {len(found)} dissections are in {Path(output).resolve()}.")


def _check_layer(found: DissectionHistory, layer: str) -> None:
    if layer not in found.layers:
        raise ValueError(f"Expected --layer to be one of {', '.join(found.layers)} but got {layer!r}.")


def _lines(found: DissectionHistory, layer: str) -> Iterator[str]:
    if layer != ALL_LAYERS:
        _check_layer(found, layer)
    yield from aligned(HEADER, _rows(found, layer), texts=0)
    yield f"\n{LEGEND}"
    if layer == ALL_LAYERS and len(found.layers) > 1:
        yield f"Layers, for --layer: {', '.join(found.layers)}."


def _rows(found: DissectionHistory, layer: str) -> Iterator[Sequence[str]]:
    values = curves(found)[layer]
    for place, snapshot in enumerate(found):
        of = {name: float(curve[place]) for name, curve in values.items()}
        neurons = len(snapshot) if layer == ALL_LAYERS else len(snapshot.of_layer(layer))
        yield (
            *(str(number) for number in (snapshot.cycle, snapshot.epoch, snapshot.step)),
            *(f"{neurons:,}", percent(of["labelled_share"]), percent(of["dead_share"])),
            *(decimal(of[name]) for name in ("coverage", "gained", "lost")),
            *(percent(of[name]) for name in ("churn", "churn_floor", "settled_share")),
            decimal(of["quality"], 3),
        )
