"""Progress of our own work, shown in the Trainer's own bar."""

import sys
from types import TracebackType
from typing import Any


class ProgressBar:
    """Shows named tasks in the progress bar of a Trainer: Rich, TQDM or none.

    A task disappears when it is done, and all do at the end of the ``with`` block, however that ends.

    Args:
        progress_bar: The Trainer's progress bar callback, ``None`` if it has none.

    """

    def __init__(self, progress_bar: Any | None) -> None:  # noqa: ANN401
        self._bar = progress_bar if progress_bar is not None and getattr(progress_bar, "is_enabled", False) else None
        self._tasks: dict[str, _RichTask | _TQDMTask] = {}

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._tasks:
            self._tasks.popitem()[1].close()

    def __call__(self, description: str, done: int, total: float) -> None:
        """Show how much of a task is done.

        Args:
            description: What is being done.
            done: How much of it is done.
            total: How much there is, infinite if that is unknown.

        """
        if description not in self._tasks and not self._begin(description, total):
            return
        self._tasks[description].show(done)
        if done >= total:
            self._tasks.pop(description).close()

    def _begin(self, description: str, total: float) -> bool:
        if getattr(self._bar, "progress", None) is not None:
            self._tasks[description] = _RichTask(self._bar, description, total)
        elif hasattr(self._bar, "process_position"):
            self._tasks[description] = _TQDMTask(self._bar, description, total)
        return description in self._tasks


class _RichTask:
    def __init__(self, bar: Any, description: str, total: float) -> None:  # noqa: ANN401
        self._bar, self._progress = bar, bar.progress
        self._id = self._progress.add_task(description, total=total)

    def show(self, done: int) -> None:
        self._progress.update(self._id, completed=done)
        self._bar.refresh()

    def close(self) -> None:
        self._progress.remove_task(self._id)
        self._bar.refresh()


class _TQDMTask:
    def __init__(self, bar: Any, description: str, total: float) -> None:  # noqa: ANN401
        from tqdm.auto import tqdm  # type: ignore[import-untyped]

        self._line = tqdm(
            desc=description,
            total=total,
            position=2 * bar.process_position + 2,
            leave=False,
            file=sys.stdout,
            dynamic_ncols=True,
        )

    def show(self, done: int) -> None:
        self._line.n = done
        self._line.refresh()

    def close(self) -> None:
        self._line.close()
