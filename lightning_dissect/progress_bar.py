"""Progress of our own work, shown in the Trainer's own bar."""

import sys
from typing import Any


class ProgressBar:
    """Shows named tasks in the progress bar of a Trainer: Rich, TQDM or none.

    Args:
        progress_bar: The Trainer's progress bar callback, ``None`` if it has none.

    """

    def __init__(self, progress_bar: Any | None) -> None:  # noqa: ANN401
        self._bar = progress_bar if progress_bar is not None and getattr(progress_bar, "is_enabled", False) else None
        self._tasks: dict[str, Any] = {}

    def __call__(self, description: str, done: int, total: float) -> None:
        """Show how much of a task is done; it disappears when all is.

        Args:
            description: What is being done.
            done: How much of it is done.
            total: How much there is, infinite if that is unknown.

        """
        if self._bar is None:
            return
        rich = getattr(self._bar, "progress", None)
        if rich is not None:
            self._show_rich(rich, description, done, total)
        elif hasattr(self._bar, "process_position"):
            self._show_tqdm(self._bar.process_position, description, done, total)

    def _show_rich(self, rich: Any, description: str, done: int, total: float) -> None:  # noqa: ANN401
        if description not in self._tasks:
            self._tasks[description] = rich.add_task(description, total=total)
        rich.update(self._tasks[description], completed=done, total=total, visible=done < total)
        self._bar.refresh()  # type: ignore[union-attr]

    def _show_tqdm(self, position: int, description: str, done: int, total: float) -> None:
        from tqdm.auto import tqdm  # type: ignore[import-untyped]

        if description not in self._tasks:
            self._tasks[description] = tqdm(
                desc=description,
                total=total,
                position=2 * position + 2,
                leave=False,
                file=sys.stdout,
                dynamic_ncols=True,
            )
        bar = self._tasks[description]
        bar.n = done
        bar.refresh()
        if done >= total:
            bar.close()
            del self._tasks[description]
