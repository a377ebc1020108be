"""All dissections of a run, in memory and on disk."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar
from zipfile import BadZipFile

import numpy as np

from lightning_dissect.array_archive import Array
from lightning_dissect.history.snapshot import Snapshot
from lightning_dissect.kept_activations import KeptActivations
from lightning_dissect.types import STATUSES, DissectionReport
from lightning_dissect.whole_files import write_whole

T = TypeVar("T")

FOLDER = "history"
ACTIVATIONS = "activations.npz"


class DissectionHistory:
    """The dissections of a run, in the order of their cycles.

    On disk it is a folder ``history`` with one compressed file per dissection, ``cycle-0003.npz``, that is whole or not
    there. A run that is resumed replaces the cycles that it repeats, so that its history is that of a run that was
    never stopped. Beside them lies ``activations.npz``, what is kept of the activations of the last dissection.

    Args:
        dirpath: Folder of the run's reports, in which ``history`` is made; ``None`` keeps the history in memory.

    Example:
        >>> from lightning_dissect.types import LayerDissection, NeuronLabel, ScoredConcept
        >>> def report(cycle, label):
        ...     neuron = NeuronLabel("fc", 0, "labelled", (ScoredConcept(label, 0.5, 0.4),))
        ...     layers = (LayerDissection("fc", (neuron,)),)
        ...     return DissectionReport(epoch=cycle, step=9 * cycle, cycle=cycle, layers=layers, num_images=8)
        >>> history = DissectionHistory()
        >>> history.append(report(0, "cat")), history.append(report(1, "dog"))
        (None, None)
        >>> history.table()["label"].tolist()
        ['cat', 'dog']

    """

    def __init__(self, dirpath: Path | str | None = None) -> None:
        self.folder = None if dirpath is None else Path(dirpath) / FOLDER
        self._snapshots: dict[int, Snapshot] = {}
        self._embeddings: dict[str, Array] = {}
        self._activations: KeptActivations | None = None

    @classmethod
    def load(cls, dirpath: Path | str) -> "DissectionHistory":
        """Read what a run left on disk.

        Args:
            dirpath: Folder of the run's reports, or the folder ``history`` in it.

        Raises:
            ValueError:
                If there is no history; or a file of it is broken or of another version.

        """
        path = Path(dirpath)
        history = cls(path.parent if path.name == FOLDER else path)
        history.refresh()
        if not len(history):
            raise ValueError(
                f"Expected `dirpath` to hold {FOLDER}/cycle-*.npz but got {str(dirpath)!r}, which holds none."
            )
        return history

    def refresh(self) -> None:
        """Read the dissections on disk that are not in memory yet.

        Raises:
            ValueError:
                If a file is broken or of another version.

        """
        files = {} if self.folder is None else _files(self.folder)
        for cycle, path in sorted(files.items()):
            if cycle not in self._snapshots:
                self._add(_read(path, Snapshot.read))

    def append(self, report: DissectionReport) -> None:
        """Add a dissection, and forget those of the same and of later cycles, and the activations of all others.

        Args:
            report: The dissection; only rank 0 has one.

        Raises:
            OSError:
                If it cannot be written; it is in memory nevertheless.

        """
        self._forget(report.cycle)
        snapshot = Snapshot.of(report)
        new = {name: vector for name, vector in snapshot.embeddings.items() if name not in self._embeddings}
        snapshot = replace(snapshot, embeddings=new)
        self._add(snapshot)
        self._activations = report.activations
        if self.folder is None:
            return
        self._remove_files(report.cycle)
        (self.folder / ACTIVATIONS).unlink(missing_ok=True)
        write_whole(self.folder / f"cycle-{report.cycle:04d}.npz", snapshot.to_bytes())
        if report.activations is not None:
            write_whole(self.folder / ACTIVATIONS, report.activations.to_bytes())

    def activations(self) -> KeptActivations | None:
        """Return what is kept of the activations of the last dissection, ``None`` if nothing is.

        Raises:
            ValueError:
                If their file is broken or of another version.

        """
        if self.folder is None:
            return self._activations
        path = self.folder / ACTIVATIONS
        return _read(path, KeptActivations.read) if path.exists() else None

    def truncate(self, cycle: int) -> None:
        """Forget the dissections from a cycle on, and the activations if they are of one of them.

        Args:
            cycle: The first that is forgotten.

        """
        self._forget(cycle)
        self._remove_files(cycle)

    def __len__(self) -> int:
        return len(self._snapshots)

    def __iter__(self) -> Iterator[Snapshot]:
        return iter([snapshot for _, snapshot in sorted(self._snapshots.items())])

    def __getitem__(self, place: int) -> Snapshot:
        return list(self)[place]

    @property
    def embeddings(self) -> Mapping[str, Array]:
        """Direction of each concept that was ever a candidate, see `DissectionReport.concept_embeddings`."""
        return self._embeddings

    @property
    def layers(self) -> tuple[str, ...]:
        """Full module names of the layers of all dissections, in the order in which they came."""
        return tuple(dict.fromkeys(layer for snapshot in self for layer in snapshot.layers))

    def table(self) -> dict[str, Array]:
        """Return one row per neuron and dissection, a column per key: what ``pandas.DataFrame`` takes.

        Returns:
            ``epoch``, ``step``, ``cycle``, ``layer``, ``unit``, ``status``, ``label``, which is empty where there is
            none or it is withheld, ``best``, the best candidate even so, its ``score``, ``quality``, ``quality_low``
            and ``quality_high``, what `LabelTrust` says, each metric, and each evaluator's verdict, 1 for yes, 0 for no
            and NaN where it did not judge.

        """
        columns: dict[str, list[Array]] = {}
        parts = [_columns(snapshot) for snapshot in self]
        names = dict.fromkeys(name for part in parts for name in part)
        for part, snapshot in zip(parts, self, strict=True):
            for name in names:
                columns.setdefault(name, []).append(part.get(name, np.full(len(snapshot), np.nan, np.float32)))
        return {name: np.concatenate(found) for name, found in columns.items()}

    def _forget(self, cycle: int) -> None:
        kept = [snapshot for snapshot in self if snapshot.cycle < cycle]
        self._activations = self._activations if len(kept) == len(self) else None
        self._snapshots, self._embeddings = {}, {}
        for snapshot in kept:
            self._add(snapshot)

    def _remove_files(self, cycle: int) -> None:
        files = {} if self.folder is None else _files(self.folder)
        for path in [path for later, path in files.items() if later >= cycle]:
            path.with_name(ACTIVATIONS).unlink(missing_ok=True)
            path.unlink()

    def _add(self, snapshot: Snapshot) -> None:
        self._snapshots[snapshot.cycle] = snapshot
        self._embeddings |= snapshot.embeddings


def _columns(snapshot: Snapshot) -> dict[str, Array]:
    size = len(snapshot)
    first = snapshot.scores[:, 0] if snapshot.scores.shape[1] else np.full(size, np.nan, np.float32)
    return {
        **{name: np.full(size, getattr(snapshot, name)) for name in ("epoch", "step", "cycle")},
        "layer": np.array(snapshot.layers, dtype=object)[snapshot.layer],
        "unit": snapshot.unit,
        "status": np.array(STATUSES, dtype=object)[snapshot.status],
        "label": snapshot.labels,
        "best": np.array([*snapshot.concepts, ""], dtype=object)[snapshot.best],
        "score": first,
        "quality": snapshot.quality,
        "quality_low": snapshot.interval[:, 0],
        "quality_high": snapshot.interval[:, 1],
        **snapshot.trust,
        **snapshot.metrics,
        **{name: np.where(found < 0, np.nan, found).astype(np.float32) for name, found in snapshot.verdicts.items()},
    }


def _files(folder: Path) -> dict[int, Path]:
    found = folder.glob("cycle-*.npz")
    return {int(match[1]): path for path in found if (match := re.fullmatch(r"cycle-(\d+)\.npz", path.name))}


def _read(path: Path, read: Callable[[bytes], T]) -> T:
    try:
        return read(path.read_bytes())
    except (BadZipFile, EOFError, KeyError, OSError, ValueError) as error:
        raise ValueError(f"Expected {str(path)!r} to be of a history but it cannot be read. {error}") from error
