import json

import numpy as np
import pytest

from lightning_dissect.array_archive import pack_arrays, unpack_arrays


@pytest.mark.parametrize("compressed", [True, False])
def test_what_is_packed_is_unpacked(compressed):
    arrays = {"half": np.array([[0.5, np.nan]], np.float16), "empty": np.zeros((0, 3), np.int64)}
    rest = {"names": ["a/b", "ü"], "of": {"x": None}}
    found, found_rest = unpack_arrays(pack_arrays(arrays, rest, 3, compressed=compressed), "a file", 3)
    assert found_rest == rest
    assert list(found) == ["half", "empty"]
    for name, values in arrays.items():
        assert found[name].dtype == values.dtype
        np.testing.assert_array_equal(found[name], values)


def test_another_schema_is_refused():
    content = pack_arrays({}, {}, 1, compressed=False)
    with pytest.raises(ValueError, match=r"Expected a snapshot of schema 2 but got schema 1\."):
        unpack_arrays(content, "a snapshot", 2)


def test_nothing_is_unpickled():
    content = pack_arrays({"a": np.array([{}], dtype=object)}, {}, 1, compressed=False)
    with pytest.raises(ValueError, match="allow_pickle"):
        unpack_arrays(content, "a file", 1)


def test_a_file_that_is_cut_off_is_refused():
    content = pack_arrays({"a": np.arange(99)}, {"b": json.dumps("c")}, 1, compressed=True)
    with pytest.raises(Exception, match="zip"):
        unpack_arrays(content[:-30], "a file", 1)
