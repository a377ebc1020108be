import dataclasses
import json
import math
from pathlib import Path

import pytest

from lightning_dissect.label_evaluation import EvaluatorDescription, JudgedImage, LabelEvaluation
from lightning_dissect.types import (
    ActivationHistogram,
    LabelSpecificity,
    LayerDissection,
    NeuronLabel,
    Relative,
    ScoredConcept,
    TopImage,
)
from lightning_dissect.writers.json import JSONWriter, read_report, report_path
from tests.helpers.small_report import doubtful_report, evaluated_report, judged_report, small_report


def test_what_is_read_is_what_was_written_but_for_the_pictures(tmp_path):
    report = small_report(tmp_path / "run", name="mine")
    JSONWriter().write(report, [])
    assert read_report(report_path(tmp_path / "run", cycle=2)) == dataclasses.replace(report, images={})


def test_trust_is_read_as_it_was_written(tmp_path):
    JSONWriter().write(doubtful_report(tmp_path), [])
    assert repr(read_report(report_path(tmp_path, cycle=2)).neurons) == repr(doubtful_report().neurons)


def test_stability_and_histogram_survive_and_may_be_missing(tmp_path):
    report = doubtful_report(tmp_path)
    clear, *others = report.neurons
    trust = dataclasses.replace(clear.trust, stability=0.75)
    histogram = ActivationHistogram(-0.1, 2.0, (3, 0, 9))
    clear = dataclasses.replace(clear, trust=trust, histogram=histogram)
    report = dataclasses.replace(report, layers=(LayerDissection("fc", (clear, *others)),))
    JSONWriter().write(report, [])
    path = report_path(tmp_path, cycle=2)
    assert repr(read_report(path).neurons) == repr(report.neurons)
    record = json.loads(path.read_text(encoding="utf-8"))
    for neuron in record["layers"][0]["neurons"]:
        del neuron["histogram"]
        if neuron["trust"]:
            del neuron["trust"]["stability"]
    path.write_text(json.dumps(record), encoding="utf-8")
    assert math.isnan(read_report(path).neurons[0].trust.stability)
    assert {neuron.histogram for neuron in read_report(path).neurons} == {None}


def test_numbers_that_are_not_finite_survive_in_valid_json(tmp_path):
    neuron = NeuronLabel(
        "fc", 0, "labelled", (ScoredConcept("cat", -math.inf, math.nan),), (TopImage(3, math.inf), TopImage(4, 0.1))
    )
    JSONWriter().write(small_report(tmp_path, layers=(LayerDissection("fc", (neuron,)),)), [])
    path = tmp_path / "reports" / "cycle-0002.json"
    json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail)
    [read] = read_report(str(path)).neurons
    assert read.score == -math.inf
    assert math.isnan(read.quality)
    assert read.top_images == neuron.top_images


def test_metrics_survive_and_are_summed_up(tmp_path):
    report = judged_report(tmp_path)
    JSONWriter().write(report, [])
    path = report_path(tmp_path, cycle=2)
    read = read_report(path)
    assert read.label_metrics == report.label_metrics
    for one, other in zip(read.neurons, report.neurons, strict=True):
        assert one.metrics == pytest.approx(other.metrics, nan_ok=True)
    assert [layer.undefined for layer in read.layers] == [{}, {"iou": {"the concept is in no image": 1}}]
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record["layers"][1]["metrics"]["iou"] == 0.75
    assert record["metrics"]["spread"] is None
    assert record["metrics"]["iou_undefined"] == 1


def test_a_file_from_before_there_were_metrics_is_read(tmp_path):
    JSONWriter().write(small_report(tmp_path), [])
    path = report_path(tmp_path, cycle=2)
    record = json.loads(path.read_text(encoding="utf-8"))
    del record["label_metrics"]
    for layer in record["layers"]:
        del layer["undefined"]
        for neuron in layer["neurons"]:
            del neuron["metrics"]
    path.write_text(json.dumps(record), encoding="utf-8")
    assert read_report(path) == dataclasses.replace(small_report(tmp_path), images={})


def test_every_cycle_has_its_file(tmp_path):
    for cycle in range(3):
        JSONWriter().write(small_report(tmp_path, cycle=cycle), [])
    assert sorted(path.name for path in (tmp_path / "reports").iterdir()) == [
        "cycle-0000.json",
        "cycle-0001.json",
        "cycle-0002.json",
    ]


@pytest.mark.parametrize("text", ['{"schema": 99}', "[]"])
def test_another_file_is_refused(tmp_path, text):
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="Expected `path` to be a report of schema 1"):
        read_report(path)


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    JSONWriter().write(small_report(), [])
    assert not list(Path().iterdir())


def test_specificity_comes_back(tmp_path):
    dog = Relative("dog", "parent", 0.5, 0.2, 0.1, math.nan)
    found = LabelSpecificity("beagle", "too specific", 0.25, dog, None, None)
    neuron = NeuronLabel("fc", 0, "labelled", (ScoredConcept("beagle", 0.5, 0.25),), specificity=found)
    JSONWriter().write(small_report(tmp_path, layers=(LayerDissection("fc", (neuron,)),)), [])
    [read] = read_report(tmp_path / "reports" / "cycle-0002.json").neurons
    assert repr(read) == repr(neuron)


def test_what_evaluators_say_comes_back(tmp_path):
    report = evaluated_report(tmp_path)
    JSONWriter().write(report, [])
    path = report_path(tmp_path, cycle=2)
    json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail)
    read = read_report(path)
    assert repr(read.evaluators) == repr(report.evaluators)
    assert read.reference_images == report.reference_images
    assert repr(read.neurons) == repr(report.neurons)
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record["metrics"]["vqa_rate"] == 0.75
    assert record["metrics"]["silent_rate"] is None
    assert record["layers"][1]["metrics"]["vqa_evaluated"] == 1


def test_no_number_of_an_evaluation_is_lost(tmp_path):
    numbers = (math.nan, math.inf, -math.inf, 0.1, 1e-300)
    judged = tuple(JudgedImage(place, number, "control", place, number) for place, number in enumerate(numbers))
    found = LabelEvaluation(False, numbers, (False, True, False, True, False), *numbers)
    neuron = NeuronLabel("fc", 0, "labelled", judged_images=judged, evaluations={"a": found, "b": found})
    evaluators = (EvaluatorDescription("a", "A()", "CLIP", True, "cosine", math.nan, "lost"), EvaluatorDescription("b"))
    report = small_report(tmp_path, layers=(LayerDissection("fc", (neuron,)),), evaluators=evaluators)
    JSONWriter().write(report, [])
    read = read_report(report_path(tmp_path, cycle=2))
    assert repr(dataclasses.replace(read, images=report.images)) == repr(report)


def test_a_file_from_before_there_were_evaluators_is_read(tmp_path):
    JSONWriter().write(small_report(tmp_path), [])
    path = report_path(tmp_path, cycle=2)
    record = json.loads(path.read_text(encoding="utf-8"))
    del record["evaluators"], record["reference_images"]
    for layer in record["layers"]:
        for neuron in layer["neurons"]:
            del neuron["judged_images"], neuron["evaluations"]
    path.write_text(json.dumps(record), encoding="utf-8")
    assert read_report(path) == dataclasses.replace(small_report(tmp_path), images={})
