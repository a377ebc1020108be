import numpy as np
import pytest
import torch

from lightning_dissect.presence import read_presence

CSV = '\ufeffcat,"lion,  tamed",sample_id\r\n0.5,1,9007199254740993\r\n\r\n0,0.25,-2\r\n'


@pytest.fixture
def write(tmp_path):
    def write(text, name="presence.csv"):
        file = tmp_path / name
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return file

    return write


def test_csv_with_sample_ids(write):
    presence = read_presence(write(CSV))
    assert presence.concepts == ("cat", "lion, tamed")
    assert presence.sample_ids.tolist() == [2**53 + 1, -2]
    assert presence.columns(slice(None)).tolist() == [[0.5, 1.0], [0.0, 0.25]]


def test_csv_in_the_order_of_a_vocabulary(write):
    presence = read_presence(str(write("cat,dog\n0,1\n0.5,0.25\n")), ["dog", "cat"])
    assert presence.concepts == ("dog", "cat")
    assert presence.sample_ids.tolist() == [0, 1]
    assert presence.columns(slice(None)).tolist() == [[1.0, 0.0], [0.25, 0.5]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, np.bool_])
def test_npy_stays_on_disk(tmp_path, dtype):
    values = np.array([[0, 1], [1, 1], [0, 0]], dtype=dtype)
    np.save(tmp_path / "presence.npy", values)
    presence = read_presence(tmp_path / "presence.npy", ["cat", "dog"])
    assert presence.concepts == ("cat", "dog")
    assert torch.equal(presence.columns(slice(None)), torch.from_numpy(values).double())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "hold a line per image"),
        ("cat,dog\n", "hold a line per image"),
        ("cat,dog\n0,1\n0\n", "line 3 of .* to hold 2 values, as the first does, but got 1"),
        ("cat,dog\n0,1\n\n0,yes\n", "line 4 of .* to hold numbers but got"),
        ("cat,sample_id\n0,1.5\n", "line 2 of .* to hold numbers but got"),
        ("cat,dog\n0,1.5\n", "between 0 and 1 but got 1.5 for sample id 0 and concept 'dog'"),
        ("cat,dog\n0,nan\n", "between 0 and 1 but got nan"),
        ("cat,cat\n0,1\n", "different from each other but got 'cat' 2 times"),
        (b"cat,dog\n0,\xff\n", "CSV file in UTF-8"),
        ('cat,dog\n0,"' + "1" * 200_000 + '"\n', "CSV file in UTF-8"),
    ],
)
def test_a_damaged_csv_is_described(write, text, message):
    with pytest.raises(ValueError, match=message):
        read_presence(write(text))


@pytest.mark.parametrize("content", [b"", b"no array", b"\x93NUMPY\x01\x00"])
def test_a_damaged_array_is_described(write, content):
    with pytest.raises(ValueError, match="to hold an array of numbers but got"):
        read_presence(write(content, "presence.npy"))


@pytest.mark.parametrize("values", [np.array(["cat"]), np.array([{}], dtype=object)])
def test_an_array_of_something_else_is_refused(tmp_path, values):
    np.save(tmp_path / "presence.npy", values)
    with pytest.raises(ValueError, match="to hold an array of numbers but got"):
        read_presence(tmp_path / "presence.npy")


def test_an_array_of_other_concepts_is_refused(tmp_path):
    np.save(tmp_path / "presence.npy", np.zeros((4, 3)))
    with pytest.raises(ValueError, match="`concepts` to hold one of them per column, 3, but got 2"):
        read_presence(tmp_path / "presence.npy", ["cat", "dog"])


def test_other_files_are_refused(write, tmp_path):
    with pytest.raises(ValueError, match=r"end in \.csv or \.npy"):
        read_presence(write("", "presence.txt"))
    with pytest.raises(FileNotFoundError, match="no file"):
        read_presence(tmp_path / "missing.csv")
