import contextlib
import os
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from lightning_dissect import cli
from lightning_dissect.commands.layers import ABOUT_NEVER, HOW_TO_CHOOSE
from lightning_dissect.metrics import SanityTable, theoretical_sanity_check

MODELS = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.relu = nn.ReLU()
        self.spare = nn.Linear(1000, 2)

    def forward(self, x):
        return self.relu(self.relu(self.conv(x)))

class Zoo:
    net = Net()

def fails():
    raise RuntimeError("no weights")

def takes(width):
    return nn.Linear(width, width)

class Share:
    def score(self, activations, concept_presence):
        return activations.T @ concept_presence / activations.sum(dim=0)[:, None]

class Mute:
    pass
"""

SMALL = ["sanity-check", "--n", "1000", "--frequencies", "0.1,0.2", "--draws", "3"]


@pytest.fixture(autouse=True)
def _models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "zoo_of_tests.py").write_text(MODELS)
    (tmp_path / "broken_zoo_of_tests.py").write_text("1 / 0")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    monkeypatch.delitem(sys.modules, "zoo_of_tests", raising=False)


@pytest.mark.parametrize("target", ["zoo_of_tests:Net", "zoo_of_tests:Zoo.net"])
def test_layers_prints_an_aligned_table(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["layers", target, "--image-size", "16"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines() == [
        "name   type    output shape    fires  parameters",
        "------------------------------------------------",
        "conv   Conv2d  (1, 8, 14, 14)      1         224",
        "relu   ReLU    (1, 8, 14, 14)      2           0",
        "spare  Linear  -               never       2,002",
        "",
        HOW_TO_CHOOSE,
        ABOUT_NEVER,
    ]


def test_options_reach_the_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["layers", "torch.nn:Identity", "--channels=1"]) == 0
    assert ABOUT_NEVER not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["layers"], "required: layers.target"),
        (["layer"], "invalid choice: 'layer'"),
        (["layers", "zoo_of_tests"], "Expected TARGET to be MODULE:FACTORY, like .* but got 'zoo_of_tests'"),
        (["layers", ":Net"], "Expected TARGET to be MODULE:FACTORY"),
        (["layers", "no_such_zoo:Net"], "import 'no_such_zoo' but got ModuleNotFoundError"),
        (["layers", "broken_zoo_of_tests:Net"], "import 'broken_zoo_of_tests' but got ZeroDivisionError"),
        (["layers", "zoo_of_tests:Nets"], "to have 'Nets' but it has not. Did you mean 'Net'"),
        (["layers", "zoo_of_tests:Zoo.nte"], "to have 'Zoo.nte' but it has not. Did you mean 'net'"),
        (["layers", "zoo_of_tests:fails"], "without arguments but got RuntimeError: no weights"),
        (["layers", "zoo_of_tests:takes"], "without arguments but got TypeError: .*'width'"),
        (["layers", "math:pi"], "be or give a torch.nn.Module but got float"),
        (["layers", "builtins:dict"], "be or give a torch.nn.Module but got dict"),
        (
            ["layers", "zoo_of_tests:Net", "--channels", "1"],
            r"shape \(1, 1, 224, 224\).*set --image-size and --channels",
        ),
        (["layers", "zoo_of_tests:Net", "--image-size", "0"], "`--image-size` to be greater than 0"),
        (["layers", "zoo_of_tests:Net", "--channels", "-3"], "`--channels` to be greater than 0"),
        (["layers", "zoo_of_tests:Net", "--image-size", "big"], "Got value: big"),
        (["layers", "zoo_of_tests:Net", "--size", "3"], "unrecognized arguments: --size"),
        ([*SMALL, "--metrics", "iou,no_such"], "Expected a metric or one of .* but got 'no_such'"),
        ([*SMALL, "--metric", "Share"], "--metric to be package.Class but got 'Share'"),
        ([*SMALL, "--metric", "zoo_of_tests.Shares"], "to have 'Shares' but it has not. Did you mean 'Share'"),
        ([*SMALL, "--metric", "zoo_of_tests.Mute"], "method `score` each but got Mute"),
        ([*SMALL, "--metric", "zoo_of_tests.takes"], "to give a metric without arguments but got TypeError"),
        (["sanity-check", "--frequencies", "0.1,often"], "--frequencies to be numbers .* but got 'often'"),
        ([*SMALL, "--activations", "a.npy"], "--activations and --presence to be given together"),
        ([*SMALL, "--activations", "a.npy", "--presence", "a.npy"], "No such file or directory: 'a.npy'"),
        ([*SMALL, "--metrics", ""], "Expected a metric or one of .* but got ''"),
        ([*SMALL, "--csv", "no_such_folder/t.csv"], "--csv to be a file in a folder that exists but got 'no_such"),
        ([*SMALL, "--plot", "table.doc"], "--plot to end in .png, .svg, .pdf but got 'table.doc'"),
        ([*SMALL, "--draws", "0"], "`draws` to be greater than 0"),
    ],
)
def test_errors_are_one_line_and_exit_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("lightning-dissect: error: ")
    assert err.count("\n") == 1
    assert re.search(message, err)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], ["usage: lightning-dissect", "layers", "List the layers of a model", "sanity-check"]),
        (["--help"], ["List the layers of a model"]),
        (["sanity-check", "--help"], ["--metrics", "--metric ", "--frequencies", "package.Class", "default: 500000"]),
        (["layers", "--help"], ["TARGET", "--image-size", "torchvision.models:resnet18", "default: 224"]),
    ],
)
def test_help(arguments: list[str], expected: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert all(text in out for text in expected)


def test_sanity_check_prints_and_writes_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [
        f"--{kind}={tmp_path / name}" for kind, name in (("csv", "t.csv"), ("markdown", "t.md"), ("plot", "t.svg"))
    ]
    command = [*SMALL, "--metrics=recall, iou", "--metric=zoo_of_tests.Share", "--seed=1", *files]
    assert cli.main(command) == 0
    out, err = capsys.readouterr()
    assert err == ""
    table = theoretical_sanity_check(["recall", "iou"], images=1000, frequencies=[0.1, 0.2], draws=3, seed=1)
    assert out.startswith(table.to_markdown() + "\n| `Share` | 100.0 | **0.0** | fail |  |")
    assert (tmp_path / "t.md").read_text() == out
    assert SanityTable.from_csv((tmp_path / "t.csv").read_text()).results[: len(table.results)] == table.results
    assert "</svg>" in (tmp_path / "t.svg").read_text()


def test_sanity_check_of_recorded_neurons(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = np.random.default_rng(0).random((500, 30)) < 0.2
    np.save(tmp_path / "a.npy", labels * 2.0)
    np.save(tmp_path / "c.npy", labels)
    command = [*SMALL, "--metric", "zoo_of_tests:Share", f"--activations={tmp_path / 'a.npy'}"]
    assert cli.main([*command, f"--presence={tmp_path / 'c.npy'}", "--metrics=cosine"]) == 0
    out = capsys.readouterr().out
    assert "missing labels, experiment | missing labels, theory" in out
    assert "| `cosine` | 100.0 (99.5) | 100.0 (100.0) | 100.0 (99.3) | 100.0 (100.0) | pass |  |" in out


def test_says_what_to_install(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert cli.main(["layers", "zoo_of_tests:Net"]) == 2
    assert "The command line needs the package `jsonargparse`: pip install 'lightning-dissect[cli]'" in (
        capsys.readouterr().err
    )


def test_runs_as_a_module(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["lightning_dissect", "layers", "zoo_of_tests:Net", "--image-size=16"])
    with pytest.raises(SystemExit) as stop:
        runpy.run_module("lightning_dissect", run_name="__main__")
    assert stop.value.code == 0
    assert "conv   Conv2d" in capsys.readouterr().out


def test_stops_quietly_when_its_reader_does() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stdout = os.dup(1)
    os.dup2(writing, 1)
    try:
        with contextlib.redirect_stdout(open(1, "w", closefd=False)):
            assert cli.main(["layers", "zoo_of_tests:Net", "--image-size=16"]) == 0
            sys.stdout.flush()
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)
        os.close(writing)
