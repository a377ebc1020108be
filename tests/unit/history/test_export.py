import csv
import io
import json

import numpy as np
import pandas
import pytest

from lightning_dissect.history import DissectionHistory
from lightning_dissect.history.export import FORMATS, to_csv, to_json, to_parquet
from tests.helpers.small_report import HOSTILE, evaluated_report

READERS = {"csv": pandas.read_csv, "json": pandas.read_json, "parquet": pandas.read_parquet}


@pytest.fixture(scope="module")
def table():
    history = DissectionHistory()
    history.append(evaluated_report())
    return history.table()


@pytest.mark.parametrize("form", FORMATS)
def test_pandas_reads_back_what_was_written(form, table):
    frame = READERS[form](io.BytesIO(FORMATS[form](table)))
    assert list(frame.columns) == list(table)
    for name, column in table.items():
        if column.dtype.kind == "O":
            assert frame[name].fillna("").tolist() == column.tolist()
        else:
            np.testing.assert_array_equal(frame[name].to_numpy(column.dtype), column, err_msg=name)


def test_texts_stand_letter_for_letter(table):
    rows = list(csv.DictReader(io.StringIO(to_csv(table).decode(), newline="")))
    assert [row["label"] for row in rows[: len(HOSTILE)]] == list(HOSTILE)
    assert [row["label"] for row in json.loads(to_json(table))][: len(HOSTILE)] == list(HOSTILE)


def test_what_is_not_finite_is_empty():
    table = {"a": np.array([np.nan, np.inf, -np.inf, 0.1], np.float32), "b": np.array(["", "x", "y", "z"], object)}
    assert to_csv(table) == b"a,b\r\n,\r\n,x\r\n,y\r\n0.1,z\r\n"
    assert [row["a"] for row in json.loads(to_json(table))] == [None, None, None, 0.1]


def test_parquet_keeps_the_types(table):
    frame = pandas.read_parquet(io.BytesIO(to_parquet(table)))
    assert frame["quality"].dtype == np.float32
    assert frame["unit"].dtype == np.int32


def test_says_what_to_install(table, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"Parquet needs the package `pyarrow`: pip install .*\[parquet\]"):
        to_parquet(table)
