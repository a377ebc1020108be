import math

import pytest
from lightning.pytorch.callbacks import RichProgressBar, TQDMProgressBar

from lightning_dissect.progress_bar import ProgressBar


class FakeRich:
    """What `ProgressBar` uses of rich's Progress, recorded."""

    def __init__(self):
        self.calls = []

    def add_task(self, description, total):
        self.calls.append(("add", description, total))
        return 7

    def update(self, task, completed):
        self.calls.append(("update", task, completed))

    def remove_task(self, task):
        self.calls.append(("remove", task))


@pytest.fixture
def rich_bar():
    bar = RichProgressBar()
    bar.progress = FakeRich()
    bar.refresh = lambda: None
    return bar


def test_a_rich_bar_gets_one_task_per_description_that_goes_when_done(rich_bar):
    progress = ProgressBar(rich_bar)
    progress("Labelling", 1, 2)
    progress("Labelling", 2, 2)
    assert rich_bar.progress.calls == [("add", "Labelling", 2), ("update", 7, 1), ("update", 7, 2), ("remove", 7)]


def test_a_task_that_is_broken_off_or_of_unknown_length_goes_too(rich_bar):
    with ProgressBar(rich_bar) as progress:
        progress("Running", 1, math.inf)
    assert rich_bar.progress.calls[-1] == ("remove", 7)


def test_a_tqdm_bar_gets_a_line_of_its_own(capsys):
    progress = ProgressBar(TQDMProgressBar())
    progress("Labelling", 1, 2)
    progress("Labelling", 2, 2)
    assert "Labelling" in capsys.readouterr().out


@pytest.mark.parametrize("bar", [None, TQDMProgressBar(refresh_rate=0), object()])
def test_without_a_bar_nothing_is_shown(bar, capsys):
    ProgressBar(bar)("Labelling", 1, 2)
    assert capsys.readouterr() == ("", "")
