import dataclasses
import json
import math
from pathlib import Path

import pytest

from lightning_dissect.writers import JSONWriter, read_refinement, refinement_path
from tests.helpers.refined import judged, refined_report


def test_what_is_read_is_what_was_written_but_for_the_pictures(tmp_path):
    report = refined_report(tmp_path / "run", name="mine")
    JSONWriter().write_refinement(report, [])
    path = refinement_path(tmp_path / "run", cycle=3)
    assert path == report.folder / "refinement.json"
    assert repr(read_refinement(str(path))) == repr(report)
    assert read_refinement(path).pictures == {}


def test_numbers_that_are_not_finite_survive_in_valid_json(tmp_path):
    neuron = refined_report().neurons[5]
    score = dataclasses.replace(judged(0.5), auc=math.nan, mad=math.inf, mad_interval=(-math.inf, math.nan))
    trial = dataclasses.replace(neuron.trials[0], score=-math.inf, standard_error=math.nan)
    neuron = dataclasses.replace(
        neuron, judged=score, start_judged=None, trials=(trial,), q_value=math.nan, novelty=None
    )
    report = refined_report(tmp_path, neurons=0)
    report = dataclasses.replace(report, neurons=(neuron,))
    JSONWriter().write_refinement(report, [])
    path = refinement_path(tmp_path, cycle=3)
    record = json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert record["neurons"][0]["judged"]["auc"] is None
    assert record["metrics"]["auc"] is None
    assert repr(read_refinement(path).neurons) == repr(report.neurons)


@pytest.mark.parametrize("text", ['{"schema": 99, "neurons": []}', "[]", '{"schema": 1, "layers": []}'])
def test_another_file_is_refused(tmp_path, text):
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="Expected `path` to be a search for labels of schema 1"):
        read_refinement(path)


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    JSONWriter().write_refinement(refined_report(neurons=0), [])
    assert not list(Path().iterdir())
