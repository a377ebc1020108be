"""The command that makes the page of a saved run."""

from pathlib import Path

from lightning_dissect.dashboard import Gallery, render_dashboard
from lightning_dissect.history import DissectionHistory
from lightning_dissect.whole_files import write_whole
from lightning_dissect.writers import PictureFolder, read_alarms


def dashboard(run: str, *, output: str | None = None) -> None:
    """Make the dashboard of a run: one page with every label it ever gave, which opens without a network.

    Runs write it themselves where the extra lightning-dissect[dashboard] is installed. Printed is where it lies.

    Args:
        run: The folder of the run's reports, in which the folder history lies.
        output: File to write; by default dashboard.html in the folder of the run.

    """
    history = DissectionHistory.load(run)
    page = render_dashboard(history, Gallery(PictureFolder(Path(run))), alarms=read_alarms(run))
    path = Path(run, "dashboard.html") if output is None else Path(output)
    write_whole(path, page)
    print(path)
