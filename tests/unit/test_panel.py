import time
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch

from lightning_dissect import distributed
from lightning_dissect.concept_matrix import ConceptMatrix
from lightning_dissect.evaluators import Answers, EmbeddingSimilarity, EvaluationPlan, ImageSampling
from lightning_dissect.label_evaluation import EvaluatorDescription, LabelEvaluation
from lightning_dissect.panel import EvaluatorPanel, images_for_evaluators, resolve_panel
from lightning_dissect.probe import ConceptVocabulary
from lightning_dissect.recording import NeuronShare
from lightning_dissect.types import (
    DissectionReport,
    LayerDissection,
    MetricDescription,
    NeuronLabel,
    ScoredConcept,
    TopImage,
)
from tests.helpers.colours import COLOURS, ColourEncoder

VOCABULARY = ConceptVocabulary(tuple(COLOURS))
IMAGES = 40


@dataclass(eq=False)
class Witness:
    """Says yes to red alone, and remembers what was asked."""

    failure: Exception | None = None
    pause: float = 0.0
    questions_at_once: int = 30
    family = "eyes"
    score_name = "redness"
    asked: list = field(default_factory=list, repr=False)
    released: int = field(default=0, repr=False)

    def check(self, vocabulary, has_encoder):
        self.checked = (len(vocabulary), has_encoder)

    def answer(self, questions):
        time.sleep(self.pause)
        self.asked.append(questions)
        if self.failure is not None:
            raise self.failure
        return Answers.above(torch.tensor([float(questions.labels[one] == "red") for one in questions.label_of]), 0.5)

    def release(self):
        self.released += 1


def panel(*evaluators, **plan):
    named = {f"judge_{number}": evaluator for number, evaluator in enumerate(evaluators)}
    return EvaluatorPanel(named, EvaluationPlan(**plan), VOCABULARY, ColourEncoder())


def layer(name, labels):
    return LayerDissection(
        name,
        tuple(
            NeuronLabel(name, unit, "labelled" if label else "dead", (ScoredConcept(label, 1.0, 0.5),) if label else ())
            for unit, label in enumerate(labels)
        ),
    )


def drawn(by, layers):
    """Return a report in which images are drawn for layers of random activations."""
    ids = 3 * torch.arange(IMAGES)
    generator = torch.Generator().manual_seed(0)
    matrix = ConceptMatrix(
        torch.nn.functional.normalize(torch.rand(IMAGES, 3, generator=generator)), torch.eye(4)[:, :3]
    )
    with distributed.in_step("a test") as peers:
        found = []
        for one in layers:
            activations = torch.randn(IMAGES, len(one.neurons), generator=generator)
            share = NeuronShare(slice(0, len(one.neurons)), ids, activations, len(one.neurons))
            found.append(by.draw(one, share, ids, matrix, peers))
    report = DissectionReport(0, 0, 0, tuple(found), IMAGES, reference_images=by.reference(ids))
    return report, by.encoded(report, ids, matrix)


def test_labels_are_judged_and_the_rest_stays_as_it_was():
    witness = Witness()
    by = panel(witness, num_neurons=3, num_reference_images=10)
    layers = [layer("a", ["red", "green", "", "blue", "red"]), layer("b", ["", ""])]
    report, encoded = drawn(by, layers)
    judged = by.evaluate(report, encoded)
    neurons = judged.layers[0].neurons
    assert sum(bool(neuron.judged_images) for neuron in neurons) == 3
    for neuron in neurons:
        assert bool(neuron.evaluations) == bool(neuron.judged_images)
        if neuron.evaluations:
            assert neuron.evaluations["judge_0"].yes == (neuron.label == "red")
            assert neuron.evaluations["judge_0"].chance == pytest.approx(1 / 3)
    assert not any(neuron.judged_images for neuron in judged.layers[1].neurons)
    assert len(judged.reference_images) == 10
    [description] = judged.evaluators
    assert (description.family, description.is_own_witness, description.score) == ("eyes", False, "redness")
    assert description.form == "Witness(failure=None, pause=0.0, questions_at_once=30)"
    assert description.seconds > 0
    assert witness.checked == (4, True)
    assert witness.released == 1
    shown = set(images_for_evaluators(judged))
    assert shown == {one.sample_id for neuron in neurons for one in neuron.judged_images} | set(judged.reference_images)


def test_the_same_neurons_are_judged_as_long_as_they_have_labels():
    by = panel(Witness(), num_neurons=4)
    labels = ["red", "green", "blue", "white"] * 5
    first, _ = drawn(by, [layer("a", labels)])
    chosen = [neuron.unit for neuron in first.layers[0].neurons if neuron.judged_images]
    second, _ = drawn(by, [layer("a", ["" if unit == chosen[0] else label for unit, label in enumerate(labels)])])
    after = [neuron.unit for neuron in second.layers[0].neurons if neuron.judged_images]
    assert len(after) == 4
    assert set(chosen[1:]) < set(after)
    other, _ = drawn(panel(Witness(), num_neurons=4, seed=1), [layer("a", labels)])
    assert chosen != [neuron.unit for neuron in other.layers[0].neurons if neuron.judged_images]


def test_all_neurons_are_judged_where_there_is_no_limit():
    by = panel(Witness(), num_neurons=None, seconds=None)
    report, encoded = drawn(by, [layer("a", ["red", "green"] * 40)])
    assert sum(bool(neuron.evaluations) for neuron in by.evaluate(report, encoded).neurons) == 80


def test_time_runs_out_after_the_portion_at_hand_and_layers_share_what_there_was():
    slow, second = Witness(pause=0.1), Witness()
    by = panel(slow, second, seconds=0.15)
    report, encoded = drawn(by, [layer(name, ["red", "green", "blue"] * 3) for name in "ab"])
    judged = by.evaluate(report, encoded)
    counts = [sum("judge_0" in neuron.evaluations for neuron in one.neurons) for one in judged.layers]
    assert 1 <= counts[0] < 9
    assert abs(counts[0] - counts[1]) <= 1
    assert len(slow.asked) == 1
    assert any("judge_1" in neuron.evaluations for neuron in judged.neurons)


def test_one_evaluator_s_failure_is_told_and_keeps_no_other_from_judging():
    broken, sound = Witness(RuntimeError("out of memory")), Witness()
    by = panel(broken, sound)
    report, encoded = drawn(by, [layer("a", ["red", "green"])])
    judged = by.evaluate(report, encoded)
    assert [judge.failure for judge in judged.evaluators] == ["RuntimeError: out of memory", ""]
    assert all(list(neuron.evaluations) == ["judge_1"] for neuron in judged.neurons)
    assert broken.released == 1


def test_progress_is_told():
    told = []
    by = panel(Witness())
    report, encoded = drawn(by, [layer("a", ["red", "green", "blue"])])
    by.evaluate(report, encoded, lambda *words: told.append(words))
    assert told[-1] == ("Judging labels by judge_0", 3, 3)


def test_the_labels_own_encoder_judges_without_pictures_and_is_no_witness():
    by = panel(EmbeddingSimilarity(threshold=0.9))
    report, encoded = drawn(by, [layer("a", ["red", "green", "blue"])])
    [description] = by.evaluate(report, encoded).evaluators
    assert description.is_own_witness
    assert description.family == "ColourEncoder"
    assert not description.failure
    rows = torch.tensor(images_for_evaluators(report)) // 3
    assert encoded.images.shape == (len(rows), 3)
    assert encoded.temperature == ColourEncoder.temperature


def test_without_an_encoder_there_is_nothing_to_see_with():
    by = EvaluatorPanel({"eyes": Witness()}, EvaluationPlan(), VOCABULARY, encoder=None)
    report, encoded = drawn(by, [layer("a", ["red", "green"])])
    assert encoded is None
    assert by.evaluate(report, encoded).evaluators[0].family == "eyes"


def test_other_labels_come_from_the_same_layer_first():
    witness = Witness(questions_at_once=10_000)
    by = panel(witness, num_other_labels=2, images=ImageSampling(2, 0, 0))
    report, encoded = drawn(by, [layer("a", ["red", "green"]), layer("b", ["blue", "white", "red"])])
    judged = by.evaluate(report, encoded)
    [asked] = witness.asked
    of_red = judged.layers[0].neurons[0]
    tops = {images_for_evaluators(report).index(image.sample_id) for image in of_red.judged_images}
    labels = {
        asked.labels[label]
        for label, row in zip(asked.label_of.tolist(), asked.images.tolist(), strict=True)
        if row in tops
    }
    assert {"red", "green"} < labels
    lonely, encoded = drawn(by, [layer("a", ["red", "red"])])
    evaluation = by.evaluate(lonely, encoded).neurons[0].evaluations["judge_0"]
    assert np.isnan(evaluation.shuffled)


def test_a_saved_report_is_judged_by_its_top_images_where_none_were_drawn():
    by = panel(Witness(), num_neurons=1)
    plain = layer("a", ["red", "green"])
    neurons = tuple(replace(neuron, top_images=(TopImage(4, 2.0), TopImage(7, 1.0))) for neuron in plain.neurons)
    earlier = {"old": LabelEvaluation(True, (), ())}
    neurons = (replace(neurons[0], evaluations=earlier), neurons[1])
    images = {number: np.zeros((4, 4, 3), np.uint8) for number in (4, 7, 9)}
    saved = DissectionReport(
        0, 0, 0, (LayerDissection("a", neurons),), 9, images=images, evaluators=(EvaluatorDescription("old"),)
    )
    prepared = by.with_top_images(saved)
    assert prepared.reference_images == (4, 7, 9)
    judged = by.evaluate(prepared, None)
    [one] = [neuron for neuron in judged.neurons if "judge_0" in neuron.evaluations]
    assert [(image.sample_id, image.role, image.decile) for image in one.judged_images] == [
        (4, "top", 10),
        (7, "top", 10),
    ]
    assert np.isnan(one.evaluations["judge_0"].precision)
    assert "old" in judged.neurons[0].evaluations
    assert [judge.name for judge in judged.evaluators] == ["old", "judge_0"]


def test_resolving():
    assert resolve_panel((), None, (), VOCABULARY, ColourEncoder()) is None
    only_drawing = resolve_panel((), EvaluationPlan(num_neurons=2), (), VOCABULARY, ColourEncoder())
    assert only_drawing.descriptions == ()
    found = resolve_panel([Witness()], None, (), VOCABULARY, ColourEncoder())
    assert found.plan == EvaluationPlan()
    assert list(found.evaluators) == ["witness"]
    with pytest.raises(ValueError, match="'witness'"):
        resolve_panel([Witness()], None, (MetricDescription("witness"),), VOCABULARY, ColourEncoder())
