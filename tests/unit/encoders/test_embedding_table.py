import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from lightning_dissect.encoders.embedding_table import EmbeddingTable


def table(folder: Path | None, origin: str = "one") -> EmbeddingTable:
    return EmbeddingTable("images", folder, origin)


def ids(*keys: int) -> Tensor:
    return torch.tensor(keys, dtype=torch.int64)


def test_remembers_in_any_order_and_keeps_the_first() -> None:
    memory = table(None)
    memory.add(ids(5, -3, 5), torch.tensor([[1.0], [2.0], [3.0]]))
    memory.add(ids(7, -3), torch.tensor([[4.0], [9.0]], dtype=torch.float64))
    assert memory.get(ids(7, 5, -3, 7)).flatten().tolist() == [4, 1, 2, 4]
    assert memory.get(ids(7)).dtype == torch.float32
    assert memory.known(ids(5, 6)).tolist() == [True, False]
    assert len(memory) == 3
    memory.flush()


def test_memory_grows_seldom() -> None:
    memory = table(None)
    addresses = set()
    for key in range(500):
        memory.add(ids(key), torch.full((1, 2), float(key)))
        assert memory.get(ids(key)).tolist() == [[key, key]]
        addresses.add(memory._buffer.data_ptr())
    assert len(addresses) <= 10
    assert torch.equal(memory.get(torch.arange(500))[:, 0], torch.arange(500.0))


@pytest.mark.parametrize("first", [True, False])
def test_inference_mode_leaves_a_table_that_can_grow(first: bool) -> None:
    memory = table(None)
    for key, inference in enumerate((first, not first, first)):
        with torch.inference_mode(inference):
            memory.add(ids(key), torch.ones(1, 2) * key)
    assert memory.get(ids(2, 0)).tolist() == [[2, 2], [0, 0]]


def test_unknown_ids_are_named() -> None:
    memory = table(None)
    with pytest.raises(KeyError, match=r"1 of 1 were not, such as \[4\]"):
        memory.get(ids(4))
    with pytest.raises(KeyError, match="at least one"):
        memory.get(torch.empty(0, dtype=torch.int64))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (torch.zeros(2, 3), r"\(1, 2\) from the encoder but got \(2, 3\)"),
        (torch.zeros(1, 3), r"\(1, 2\)"),
        (torch.zeros(2), "from the encoder"),
        (torch.tensor([[0.0, float("nan")]]), "finite"),
    ],
)
def test_what_does_not_fit_is_refused(wrong: Tensor, message: str) -> None:
    memory = table(None)
    memory.add(ids(1), torch.zeros(1, 2))
    with pytest.raises(ValueError, match=message):
        memory.add(ids(2), wrong)


def test_files_are_only_added(tmp_path: Path) -> None:
    first = table(tmp_path)
    first.add(ids(1, 2), torch.eye(2))
    first.flush()
    first.flush()
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    assert len(before) == 1
    second = table(tmp_path)
    second.add(ids(3), torch.ones(1, 2))
    second.flush()
    assert len(list(tmp_path.iterdir())) == 2
    assert all(file.read_bytes() == data for file, data in before.items())
    assert torch.equal(table(tmp_path).get(ids(3, 1, 2)), torch.tensor([[1.0, 1], [1, 0], [0, 1]]))


def test_what_others_embedded_is_not_written(tmp_path: Path) -> None:
    part = table(tmp_path)
    part.add(ids(1), torch.ones(1, 1), save=False)
    part.flush()
    assert list(tmp_path.iterdir()) == []
    part.add(ids(2), torch.ones(1, 1))
    part.add(ids(2, 3), torch.ones(2, 1), save=False)
    part.flush()
    assert table(tmp_path).known(ids(1, 2, 3)).tolist() == [False, True, False]


@pytest.mark.parametrize("inference", [True, False])
def test_what_is_not_retained_is_forgotten(tmp_path: Path, inference: bool) -> None:
    part = table(tmp_path)
    part.add(ids(1, 2, 3), torch.tensor([[1.0], [2.0], [3.0]]))
    part.flush()
    part.add(ids(4, 5), torch.tensor([[4.0], [5.0]]))
    assert part.num_bytes == 20
    with torch.inference_mode(inference):
        part.retain(ids(9, 5, 2))
    assert part.known(ids(1, 2, 3, 4, 5)).tolist() == [False, True, False, False, True]
    part.add(ids(6), torch.tensor([[6.0]]))
    assert part.get(ids(5, 6, 2)).flatten().tolist() == [5, 6, 2]
    part.flush()
    assert table(tmp_path).get(ids(1, 2, 3, 5, 6)).flatten().tolist() == [1, 2, 3, 5, 6]
    part.retain(ids())
    assert part.num_bytes == len(part) == 0
    part.add(ids(7), torch.ones(1, 3))
    assert part.get(ids(7)).shape == (1, 3)


def test_two_writers_do_not_disturb_each_other(tmp_path: Path) -> None:
    left, right = table(tmp_path), table(tmp_path)
    left.add(ids(1, 2), torch.tensor([[1.0], [2.0]]))
    right.add(ids(2, 3), torch.tensor([[2.0], [3.0]]))
    left.flush()
    right.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert table(tmp_path).get(ids(1, 2, 3)).flatten().tolist() == [1, 2, 3]


def damage_truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-3])


def damage_flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)


def damage_empty(file: Path) -> None:
    file.write_bytes(b"")


def damage_strip(file: Path) -> None:
    save_file(load_file(file), file)


def damage_rename(file: Path) -> None:
    save_file({"other": torch.ones(1)}, file)


@pytest.mark.parametrize("damage", [damage_truncate, damage_flip, damage_empty, damage_strip, damage_rename])
def test_a_damaged_file_is_reported_and_never_trusted(tmp_path: Path, damage: object) -> None:
    for key in (1, 2):
        part = table(tmp_path)
        part.add(ids(key), torch.full((1, 1), float(key)))
        part.flush()
    bad = next(file for file in tmp_path.iterdir() if 2 in load_file(file)["ids"])
    damage(bad)
    with pytest.warns(UserWarning, match=bad.name):
        result = table(tmp_path)
    assert result.known(ids(1, 2)).tolist() == [True, False]


def test_files_of_another_origin_are_foreign(tmp_path: Path) -> None:
    part = table(tmp_path)
    part.add(ids(1), torch.ones(1, 1))
    part.flush()
    with pytest.warns(UserWarning, match="'other'"):
        assert len(table(tmp_path, "other")) == 0
    assert len(EmbeddingTable("texts", tmp_path, "one")) == 0


def test_an_unfinished_file_is_not_seen(tmp_path: Path) -> None:
    (tmp_path / ".images-1.safetensors.unfinished").write_bytes(b"half")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(table(tmp_path)) == 0
