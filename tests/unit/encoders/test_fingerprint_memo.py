import os
import threading
import time
from pathlib import Path

import pytest

from lightning_dissect.encoders import fingerprint_memo
from lightning_dissect.encoders.fingerprint_memo import FingerprintMemo, stamps

RECIPE = ["Encoder", "torch 2", "big"]


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    file = tmp_path / "model" / "weights"
    file.parent.mkdir()
    file.write_text("1 2 3")
    return file


@pytest.fixture
def memo(tmp_path: Path, weights: Path) -> FingerprintMemo:
    memo = FingerprintMemo(tmp_path / "memo")
    memo.remember(RECIPE, [weights, weights.parent], "key", time.time() + 60)
    return memo


def test_remembers_by_recipe(memo: FingerprintMemo) -> None:
    assert FingerprintMemo(memo.dirpath).recall(tuple(RECIPE)) == "key"
    assert memo.recall([*RECIPE[:2], "small"]) is None
    memo.forget(RECIPE)
    memo.forget(RECIPE)
    assert memo.recall(RECIPE) is None


def change_size(file: Path) -> None:
    file.write_text("1 2 3 4")


def change_content_and_restore_the_time(file: Path) -> None:
    stat = file.stat()
    file.write_text("1 2 4")
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def change_time(file: Path) -> None:
    os.utime(file, (0, 0))


def replace(file: Path) -> None:
    other = file.with_suffix(".new")
    other.write_text("1 2 3")
    other.replace(file)


def add_a_file_to_the_folder(file: Path) -> None:
    file.with_suffix(".more").touch()


def remove(file: Path) -> None:
    file.unlink()


@pytest.mark.parametrize(
    "change",
    [change_size, change_content_and_restore_the_time, change_time, replace, add_a_file_to_the_folder, remove],
)
def test_forgets_where_a_file_has_changed(memo: FingerprintMemo, weights: Path, change: object) -> None:
    assert memo.recall(RECIPE) == "key"
    time.sleep(0.01)
    change(weights)
    assert memo.recall(RECIPE) is None


@pytest.mark.parametrize("content", [b"", b"half", b"\xff\xfe", b"a\n{}", None])
def test_a_damaged_memo_is_none(memo: FingerprintMemo, content: bytes | None) -> None:
    (file,) = memo.dirpath.iterdir()
    file.write_bytes(file.read_bytes().replace(b'"key"', b'"kez"') if content is None else content)
    assert memo.recall(RECIPE) is None


def test_a_folder_within_the_folder_changes_nothing(memo: FingerprintMemo, weights: Path) -> None:
    weights.with_name("cache").mkdir()
    assert memo.recall(RECIPE) == "key"


def test_what_changed_while_it_was_read_is_not_remembered(tmp_path: Path, weights: Path) -> None:
    memo = FingerprintMemo(tmp_path / "memo")
    for read_at in (time.time() - 60, time.time()):
        memo.remember(RECIPE, [weights], "key", read_at)
        assert memo.recall(RECIPE) is None
    memo.remember(RECIPE, [tmp_path / "none"], "key", time.time() + 60)
    assert memo.recall(RECIPE) is None
    assert not memo.dirpath.exists()


def test_a_folder_that_cannot_be_written_to_is_no_error(tmp_path: Path, weights: Path) -> None:
    memo = FingerprintMemo(weights / "memo")
    memo.remember(RECIPE, [weights], "key", time.time() + 60)
    assert memo.recall(RECIPE) is None


def test_writers_and_readers_do_not_disturb_each_other(memo: FingerprintMemo, weights: Path) -> None:
    recalled: list[str | None] = []

    def work() -> None:
        for _ in range(30):
            memo.remember(RECIPE, [weights], "key", time.time() + 60)
            recalled.append(memo.recall(RECIPE))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert recalled == ["key"] * 120
    assert len(list(memo.dirpath.iterdir())) == 1


def test_the_code_is_part_of_the_recipe(memo: FingerprintMemo, monkeypatch: pytest.MonkeyPatch) -> None:
    assert memo._file(RECIPE).is_file()
    monkeypatch.setattr(fingerprint_memo, "stamps", lambda files: {**stamps(files), "more": [1]})
    assert not memo._file(RECIPE).exists()
