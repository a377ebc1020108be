"""Labels of a checkpoint are searched for, and those of another tool judged, by the command."""

import sys
from pathlib import Path

import pytest
from lightning.pytorch import Trainer

from lightning_dissect import cli
from lightning_dissect.encoders import ENCODERS
from lightning_dissect.refine import GENERATORS, PROPOSERS
from tests.helpers.colours import ColourEncoder, ColourModule
from tests.integration.test_refinement import WORDS, Names, Paint


@pytest.fixture(autouse=True)
def _colours(monkeypatch):
    monkeypatch.setitem(ENCODERS._factories, "colours", ColourEncoder)
    monkeypatch.setitem(PROPOSERS._factories, "names", Names)
    monkeypatch.setitem(GENERATORS._factories, "paint", Paint)
    monkeypatch.setattr(sys, "path", [*sys.path])
    Path("words.txt").write_text("\n".join(WORDS))


@pytest.fixture
def refine(trainer_options, capsys):
    trainer = Trainer(**{**trainer_options, "max_epochs": 1, "limit_val_batches": 0})
    trainer.fit(ColourModule())
    trainer.save_checkpoint("last.ckpt")

    def run(*words):
        given = ["--layers", "net.paint", "--vocabulary", "words.txt", "--encoder", "colours", "--neurons", "all"]
        made = ["--proposer", "names", "--generator", "paint", "--accelerator", "cpu"]
        exit_code = cli.main(["refine", "tests.helpers.colours:ColourModule", "last.ckpt", *given, *made, *words])
        return exit_code, *capsys.readouterr()

    return run


def test_the_command_finds_a_colour_that_the_vocabulary_lacks(refine):
    exit_code, out, _ = refine()
    assert exit_code == 0
    row = next(line.split() for line in out.splitlines() if "blue" in line)
    assert row[:2] == ["net.paint", "2"]
    assert "free lookups" in out
    folder = Path("dissection/refinement/cycle-0000")
    assert {path.name for path in folder.iterdir()} >= {"history.jsonl", "refinement.html", "refinement.json"}


def test_labels_of_another_tool_are_judged_as_they_are(refine):
    Path("labels.csv").write_text("layer,unit,description\npaint,0,red\npaint,1,blue\n")
    exit_code, out, _ = refine("--labels", "labels.csv", "--steps", "0")
    assert exit_code == 0
    rows = {line.split()[1]: line.split() for line in out.splitlines() if line.startswith("net.paint")}
    assert rows.keys() == {"0", "1"}
    assert rows["0"][2:4] == ["red", "red"]
    assert rows["1"][2:4] == ["blue", "(blue)"]
    assert "AUC" in out


def test_units_can_be_named(refine):
    _, out, _ = refine("--neurons", "net.paint:2")
    assert [line.split()[1] for line in out.splitlines() if line.startswith("net.paint")] == ["2"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--neurons", "net.paint:two"], "Expected --neurons"),
        (["--neurons", "net.paint:9"], "4 units of net.paint"),
        (["--proposer", "nobody"], "concept proposer"),
        (["--encoder", "annotations", "--generator", "retrieval"], "an encoder"),
        (["--images", "0"], "`images`"),
        (["--labels", "none.csv"], "none.csv"),
    ],
)
def test_errors_are_one_line(refine, words, message):
    exit_code, _, error = refine(*words)
    assert exit_code == 2
    assert message in error
    assert len(error.strip().splitlines()[-1:]) == 1


def test_what_was_not_searched_is_said(refine):
    assert "No neuron is withheld" in refine("--neurons", "withheld")[1]
    assert "The budget reached no neuron" in refine("--images", "5")[1]
