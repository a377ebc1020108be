from pathlib import Path
from types import SimpleNamespace

import pytest

from lightning_dissect.writers import run_folder, unused_folder


@pytest.mark.parametrize(
    ("logger", "expected"),
    [
        (SimpleNamespace(save_dir="logs", name="net", version=3), "logs/net/version_3"),
        (SimpleNamespace(save_dir="logs", name="net", version="a1b2"), "logs/net/a1b2"),
        (SimpleNamespace(save_dir=None, name="net", version="a1b2"), "root/net/a1b2"),
    ],
)
def test_the_first_logger_decides(logger, expected):
    assert run_folder([logger, None], "root") == Path(expected)


def test_without_a_logger_the_default_is_taken():
    assert run_folder([], "root") == Path("root")


def test_a_folder_of_another_run_is_not_used(tmp_path):
    wanted = tmp_path / "dissection"
    assert unused_folder(wanted) == wanted
    wanted.mkdir()
    assert unused_folder(wanted) == wanted
    (wanted / "report.html").touch()
    assert unused_folder(wanted) == tmp_path / "dissection-v1"
    (tmp_path / "dissection-v1").mkdir()
    (tmp_path / "dissection-v1" / "report.html").touch()
    assert unused_folder(wanted) == tmp_path / "dissection-v2"
