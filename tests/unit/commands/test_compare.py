import json
import re

import numpy as np
import pytest

from lightning_dissect import cli
from lightning_dissect.history import DissectionHistory
from lightning_dissect.kept_activations import KeptActivations
from tests.helpers.label_history import report_of


def save(folder, layers, units, **changes):
    """A run whose units respond as those of the same numbers do in every other run."""
    generator = np.random.default_rng(0)
    responses = {layer: generator.random((64, 5)).astype(np.float16) for layer in ("conv", "fc")}
    kept = {layer: responses[layer][:, chosen] for layer, chosen in units.items()}
    report = report_of(0, layers, activations=KeptActivations(np.arange(64), kept), stability=0.9, **changes)
    DissectionHistory(folder).append(report)
    return str(folder)


@pytest.fixture
def runs(tmp_path):
    words = {"conv": ["cat", "dog", "-"], "fc": ["tree", "?sky"]}
    others = {"conv": ["dog", "cat", "moon", "-"], "fc": ["sea", "sky"]}
    first = save(tmp_path / "a", words, {"conv": [0, 1, 2], "fc": [3, 4]})
    second = save(tmp_path / "b", others, {"conv": [1, 0, 3, 2], "fc": [3, 4]}, settings={"encoder": "<other>"})
    return first, second


def cells(line):
    return re.split(r"  +", line.strip())


def test_a_row_per_layer_and_what_is_reproducible(runs, capsys):
    assert cli.main(["compare", *runs]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert cells(lines[0])[:7] == ["layer", "units", "pairs", "correlation", "reliable", "churn", "by chance"]
    assert cells(lines[2]) == ["conv", "3 / 4", "3", "1.00", "2", "0.0 %", "10.0 %", "0.00", "100.0 %", "2", "0", "1"]
    assert cells(lines[3]) == ["fc", "2", "2", "1.00", "1", "100.0 %", "10.0 %", "-", "0.0 %", "0", "1", "2"]
    assert cells(lines[4]) == ["all", "5 / 6", "5", "-", "3", "33.3 %", "10.0 %", "-", "66.7 %", "2", "1", "3"]
    assert "In both (2): cat, dog" in lines
    assert "Only in A (1): tree" in lines
    assert "Only in B (3): moon, sea, sky" in lines
    assert lines[-1] == "The runs differ in encoder: A (none); B <other>"


def test_long_lists_are_cut(runs, capsys):
    assert cli.main(["compare", *runs, "--names", "1"]) == 0
    out = capsys.readouterr().out
    assert "In both (2): cat and 1 more\nOnly in A (1): tree\nOnly in B (3): moon and 2 more" in out


def test_json_has_all_of_it(runs, tmp_path):
    assert cli.main(["compare", *runs, f"--json={tmp_path / 'both.json'}"]) == 0
    content = json.loads((tmp_path / "both.json").read_text())
    assert (content["run_a"], content["images"]) == (runs[0], 64)
    conv, fc = content["layers"]
    assert [(pair["unit_a"], pair["unit_b"]) for pair in conv["matching"]] == [(0, 1), (1, 0), (2, 3)]
    assert all(pair["significant"] and pair["correlation"] == 1 for pair in conv["matching"])
    assert (conv["unmatched_a"], conv["unmatched_b"], conv["significant_share"]) == ([], [2], 1.0)
    assert 0 < conv["chance"] < 1
    assert fc["semantic_churn"] is None
    assert content["overall"]["only_second"] == ["moon", "sea", "sky"]
    assert content["overall"]["reproducible_share"] == pytest.approx(1 / 3)
    assert "matching" not in content["overall"]


def test_units_may_be_compared_by_their_numbers(runs, capsys):
    assert cli.main(["compare", *runs, "--match=false"]) == 0
    out = capsys.readouterr().out
    assert cells(out.splitlines()[2])[:6] == ["conv", "3 / 4", "3", "-", "2", "100.0 %"]
    assert "pairs: units of the same number" in out


def test_pairs_may_have_to_correlate_more(tmp_path, capsys):
    first = save(tmp_path / "a", {"conv": ["cat", "dog"]}, {"conv": [0, 1]})
    second = save(tmp_path / "b", {"conv": ["cat", "dog"]}, {"conv": [0, 2]})
    for minimum, pairs in (("0.99", "1"), ("1.5", "0")):
        assert cli.main(["compare", first, second, "--minimum", minimum]) == 0
        assert cells(capsys.readouterr().out.splitlines()[2])[2] == pairs


def test_a_layer_of_one_run_alone_is_named(tmp_path, capsys):
    first = save(tmp_path / "a", {"conv": ["cat"]}, {"conv": [0]})
    second = save(tmp_path / "b", {"conv": ["cat"], "fc": ["dog"]}, {"conv": [0], "fc": [1]})
    assert cli.main(["compare", first, second]) == 0
    out = capsys.readouterr().out
    assert "Layers of B alone: fc" in out
    assert "Layers of A alone" not in out
    assert "\nall " not in out


def test_errors_are_one_line(runs, tmp_path, capsys):
    for arguments, message in (
        ([runs[0], str(tmp_path / "c")], "Expected RUN_B to be the folder of a run but there is no"),
        ([str(tmp_path), runs[1]], "to hold history/cycle-*.npz"),
        ([*runs, "--json=no/such/file.json"], "Expected --json to be a file in a folder that exists"),
    ):
        assert cli.main(["compare", *arguments]) == 2
        assert message in capsys.readouterr().err
