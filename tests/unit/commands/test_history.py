import csv
import json
import re

import pandas
import pytest

from lightning_dissect import cli
from lightning_dissect.history import DissectionHistory
from tests.helpers.label_history import report_of

CYCLES = (
    {"conv": ["cat", "dog", "-"], "fc": ["?cat", "tree"]},
    {"conv": ["cat", "puppy", "sky"], "fc": ["cat", "tree"]},
    {"conv": ["cat", "puppy", "sky"], "fc": ["cat", "tree"]},
)


@pytest.fixture
def run(tmp_path):
    history = DissectionHistory(tmp_path / "dissection")
    for cycle, layers in enumerate(CYCLES):
        history.append(report_of(cycle, layers, stability=0.875))
    return tmp_path / "dissection"


def test_a_row_per_dissection(run, capsys):
    assert cli.main(["history", str(run)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.split(r"  +", lines[0].strip()) == [
        *("cycle", "epoch", "step", "neurons", "labelled", "dead", "coverage", "gained", "lost"),
        *("churn", "by chance", "settled", "quality"),
    ]
    assert re.split(r"  +", lines[2].strip()) == ["0", "0", "0", "5", "60.0 %", "20.0 %", "3", *5 * "-", "0.400"]
    assert re.split(r"  +", lines[3].strip())[3:11] == ["5", "100.0 %", "0.0 %", "4", "2", "1", "33.3 %", "12.5 %"]
    assert lines[-1] == "Layers, for --layer: conv, fc."


def test_a_layer_of_its_own(run, capsys):
    assert cli.main(["history", str(run), "--layer", "fc"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.split(r"  +", lines[2].strip())[3:7] == ["2", "50.0 %", "0.0 %", "1"]
    assert not lines[-1].startswith("Layers")


def test_every_label_is_exported(run, tmp_path, capsys):
    for option, file in ((None, "all.csv"), (None, "all.json"), ("parquet", "all.table")):
        words = ["history", str(run), "--output", str(tmp_path / file)]
        assert cli.main(words if option is None else [*words, "--format", option]) == 0
        assert f"15 rows of 3 dissections are in {tmp_path / file}." in capsys.readouterr().out
    labels = ["cat", "dog", "", "", "tree"]
    with (tmp_path / "all.csv").open(newline="") as file:
        assert [row["label"] for row in csv.DictReader(file)][:5] == labels
    rows = json.loads((tmp_path / "all.json").read_text())
    assert [row["label"] for row in rows][:5] == labels
    assert rows[-1] | {"cycle": 2, "layer": "fc", "unit": 1, "status": "labelled"} == rows[-1]
    assert pandas.read_parquet(tmp_path / "all.table")["label"].tolist()[:5] == labels


def test_the_layer_counts_for_the_export_too(run, tmp_path):
    assert cli.main(["history", str(run), "--layer=fc", f"--output={tmp_path / 'fc.json'}"]) == 0
    assert {row["layer"] for row in json.loads((tmp_path / "fc.json").read_text())} == {"fc"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--layer", "head"], "Expected --layer to be one of conv, fc but got 'head'"),
        (["--layer", "head", "--output", "a.csv"], "Expected --layer to be one of conv, fc but got 'head'"),
        (["--output", "a.xlsx"], r"--output to end in .csv, .json, .parquet, or --format .* but got 'a.xlsx'"),
        (["--output", "no/such/a.csv"], "--output to be a file in a folder that exists"),
        (["--format", "csv"], "Expected --output to name a file"),
        (["--format", "xlsx"], "xlsx"),
    ],
)
def test_errors_are_one_line(run, options, message, capsys):
    assert cli.main(["history", str(run), *options]) == 2
    assert re.search(message, capsys.readouterr().err)


def test_says_where_there_is_no_history(tmp_path, capsys):
    assert cli.main(["history", str(tmp_path)]) == 2
    assert "to hold history/cycle-*.npz" in capsys.readouterr().err
