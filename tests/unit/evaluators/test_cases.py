import math
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from lightning_dissect.evaluators import (
    Answers,
    Case,
    Evidence,
    ImageSampling,
    discrimination,
    judge,
    precision_and_recall,
)
from lightning_dissect.label_evaluation import JudgedImage
from lightning_dissect.probe import ConceptVocabulary

VOCABULARY = ConceptVocabulary(("cat", "dog", "cow"))


def image(sample_id, role="top", decile=10, weight=1.0):
    return JudgedImage(sample_id, 1.0, role, decile, weight)


@dataclass
class Told:
    """Answers by a table of scores, label by image; above a half is a yes."""

    scores: dict
    asked: list = field(default_factory=list)
    family = "table"
    questions_at_once = 100

    def check(self, vocabulary, has_encoder):
        pass

    def answer(self, questions):
        pairs = [
            (questions.labels[label], row)
            for label, row in zip(questions.label_of.tolist(), questions.images.tolist(), strict=True)
        ]
        self.asked.append(pairs)
        return Answers.above(torch.tensor([self.scores.get(pair, 0.0) for pair in pairs]), 0.5)

    def release(self):
        pass


def evidence(images):
    return Evidence(VOCABULARY, [None] * images, torch.empty(0, dtype=torch.int64))


def case(label, others, rows, roles=None):
    judged = [image(row, *(roles[place] if roles else ())) for place, row in enumerate(rows)]
    return Case(label, tuple(others), tuple(judged), tuple(rows))


def test_a_label_is_judged_by_vote_and_against_others():
    told = Told({("cat", 0): 0.9, ("dog", 0): 0.7, ("cow", 1): 0.6})
    one = case("cat", ["dog", "cow"], [0, 1])
    [any_of] = judge(told, [one], evidence(2), votes_needed=1)
    assert (any_of.yes, any_of.shuffled, any_of.discrimination) == (True, 1.0, 1.0)
    assert any_of.chance == pytest.approx(1 / 3)
    assert any_of.scores == pytest.approx((0.9, 0.0))
    assert any_of.answers == (True, False)
    [two_of] = judge(told, [one], evidence(2), votes_needed=2)
    assert (two_of.yes, two_of.shuffled) == (False, 0.0)


def test_equal_questions_are_asked_once():
    told = Told({})
    cases = [case("cat", ["dog"], [0, 1]), case("dog", ["cat"], [1, 0]), case("cat", [], [1])]
    judge(told, cases, evidence(2), votes_needed=1)
    [asked] = told.asked
    assert len(asked) == len(set(asked)) == 4


def test_where_no_top_image_is_answered_there_is_no_evaluation():
    told = Told({("cat", 0): math.nan, ("cat", 1): 0.9})
    roles = [("top", 10, 1.0), ("decile", 10, 5.0)]
    assert judge(told, [case("cat", ["dog"], [0, 1], roles)], evidence(2), 1) == [None]
    assert judge(told, [], evidence(2), 1) == []
    [alone] = judge(told, [case("cow", [], [0])], evidence(2), 1)
    assert math.isnan(alone.shuffled)
    assert math.isnan(alone.discrimination)


def test_an_evaluator_that_loses_answers_is_told():
    class Forgetful(Told):
        def answer(self, questions):
            return Answers.above(torch.zeros(1), 0.5)

    with pytest.raises(ValueError, match=r"one answer per question, shape \(2,\), but got \(1,\)"):
        judge(Forgetful({}), [case("cat", ["dog"], [0])], evidence(1), 1)


def test_precision_and_recall_estimate_those_of_the_whole_probe():
    generator = torch.Generator().manual_seed(0)
    activations = torch.randn(1000, 400, generator=generator)
    shows = torch.rand(1000, 400, generator=generator) < torch.sigmoid(3 * activations - 2)
    active = activations >= activations.sort(dim=0, descending=True).values[99]
    precision = (shows & active).sum() / active.sum()
    recall = (shows & active).sum() / shows.sum()
    sampling = ImageSampling(top=5, per_decile=4, controls=3)
    table = sampling.draw(activations, torch.arange(400), torch.arange(1000), list(range(400)))
    found, said = [], []
    for neuron, images in enumerate(table.records(sampling)):
        answers = np.array([bool(shows[one.sample_id, neuron]) for one in images])
        found.append(precision_and_recall(images, answers, np.ones(len(images), bool)))
        said.append([one.weight * yes for one, yes in zip(images, answers, strict=True)])
    assert np.mean([one for one, _ in found]) == pytest.approx(float(precision), abs=0.02)
    assert np.nanmean([two for _, two in found]) == pytest.approx(float(recall), abs=0.03)


def test_precision_and_recall_are_undefined_without_answers_deciles_or_a_yes():
    spread = [image(0), image(1, "decile", 10, 9.0), image(2, "decile", 1, 9.0)]
    everything, nothing = np.ones(3, bool), np.zeros(3, bool)
    assert np.isnan(precision_and_recall([image(0)], everything[:1], everything[:1])).all()
    assert np.isnan(precision_and_recall(spread, everything, nothing)).all()
    precision, recall = precision_and_recall(spread, nothing, everything)
    assert precision == 0
    assert math.isnan(recall)
    assert precision_and_recall(spread, everything, everything) == pytest.approx((1.0, 10 / 19))


@pytest.mark.parametrize(
    ("own", "others", "expected"),
    [
        ([1, 1], [[0, 1], [1, 0]], 1.0),
        ([1, 0], [[0, 1], [0, 1]], 1 / 3),
        ([1, 0], [[1, 1]], 0.0),
        ([1, math.nan], [[0, 9]], 1.0),
        ([1, 0], [[math.nan, 2]], 0.0),
        ([math.nan], [[0]], math.nan),
    ],
)
def test_discrimination(own, others, expected):
    found = discrimination(np.array(own, float), np.array(others, float))
    assert found == pytest.approx(expected, nan_ok=True)


def test_discrimination_of_labels_at_random_is_at_chance():
    rng = np.random.default_rng(0)
    found = [discrimination(rng.random(5), rng.random((9, 5))) for _ in range(4000)]
    assert np.mean(found) == pytest.approx(0.1, abs=0.015)
