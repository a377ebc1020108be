import copy
import errno
import os
import pickle
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from lightning_dissect.recording.storage import ActivationStorage


def test_everything_is_in_memory_by_default() -> None:
    storage = ActivationStorage()
    block = storage.empty(1000, 10)
    assert (block.shape, block.dtype, block.is_contiguous()) == ((1000, 10), torch.float32, True)
    assert (storage.bytes_in_memory, storage.bytes_in_files) == (40_000, 0)


def test_what_exceeds_the_limit_is_mapped_and_what_fits_later_is_not(tmp_path: Path) -> None:
    storage = ActivationStorage(1000, tmp_path)
    first, second, third = storage.empty(10, 20), storage.empty(10, 10), storage.empty(10, 5)
    assert (storage.bytes_in_memory, storage.bytes_in_files) == (1000, 400)
    for value, block in enumerate((first, second, third)):
        block.fill_(value)
    assert [float(block.mean()) for block in (first, second, third)] == [0.0, 1.0, 2.0]
    assert list(tmp_path.iterdir()) == []
    del first, block
    assert storage.bytes_in_memory == 200
    assert storage.empty(10, 20).shape == (10, 20)
    del second
    assert storage.bytes_in_files == 0


@pytest.mark.parametrize("inference", [True, False])
@pytest.mark.parametrize("max_bytes", [None, 0])
def test_bytes_count_as_long_as_a_view_lives(max_bytes: int | None, inference: bool, tmp_path: Path) -> None:
    storage = ActivationStorage(max_bytes, tmp_path)
    with torch.inference_mode(inference):
        view = storage.empty(10, 10)[2:4].T
    assert not view.is_inference()
    assert storage.bytes_in_memory + storage.bytes_in_files == 400
    del view
    assert storage.bytes_in_memory + storage.bytes_in_files == 0


def test_nothing_is_never_mapped() -> None:
    storage = ActivationStorage(0, "no such folder")
    assert storage.empty(0, 5).shape == (0, 5)
    assert storage.empty(5, 0).shape == (5, 0)


def test_the_same_number_of_files_stays_open(tmp_path: Path) -> None:
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        pytest.skip("needs Linux")
    storage = ActivationStorage(0, tmp_path)
    before = len(list(descriptors.iterdir()))
    blocks = [storage.empty(4, 4) for _ in range(50)]
    assert len(list(descriptors.iterdir())) == before
    assert storage.bytes_in_files == len(blocks) * 64


def test_copies_and_pickles_hold_nothing() -> None:
    storage = ActivationStorage(100, "somewhere")
    block = storage.empty(5, 5)
    for other in (copy.copy(storage), copy.deepcopy(storage), pickle.loads(pickle.dumps(storage))):  # noqa: S301
        assert (other.max_bytes, other.dirpath, other.bytes_in_memory) == (100, "somewhere", 0)
    assert storage.bytes_in_memory == block.nbytes


def test_a_full_disk_is_an_error_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    storage = ActivationStorage(0, tmp_path)
    with pytest.raises(OSError, match=r"room for 80 bytes .* No space left on device. Choose another") as caught:
        storage.empty(4, 5)
    assert caught.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []
    assert storage.bytes_in_files == 0


@pytest.mark.parametrize("free", [79, 80])
def test_systems_that_cannot_claim_room_are_asked_for_it(
    free: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    storage = ActivationStorage(0, tmp_path)
    if free < 80:
        with pytest.raises(OSError, match="No space left"):
            storage.empty(4, 5)
    else:
        assert storage.empty(4, 5).shape == (4, 5)


def test_a_limit_below_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="`max_bytes` to be at least 0 or None but got -1"):
        ActivationStorage(-1)
