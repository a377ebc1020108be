import math
from pathlib import Path

import pytest

from lightning_dissect.label_refinement import CoSyScore, LabelRefinement, Novelty, RefinementCost, Sense
from lightning_dissect.refinement_report import RefinementReport


def score(auc):
    return CoSyScore(auc, 1.0, 1.0, 1.0, 0.01, (0.1, 0.9), (0.0, 2.0), 10, 5)


def neuron(unit, label="", judged=None, start=None, **others):
    return LabelRefinement("fc", unit, label, label, "", (), "steps", judged=judged, start_judged=start, **others)


def test_the_search_in_numbers():
    neurons = (
        neuron(0, "wolf", score(0.9), score(0.7), novelty=Novelty(True, True), senses=(Sense(("wolf",), 1.0),)),
        neuron(1, "dogs", score(0.8), novelty=Novelty(True, False), cost=RefinementCost(10, 20, 3, 4, 0.5)),
        neuron(2, judged=score(0.5), start=score(0.1)),
        neuron(3, "cat", score(math.nan), score(math.nan)),
    )
    metrics = RefinementReport(0, 0, 0, neurons).metrics
    assert metrics["refined"] == 4
    assert metrics["labelled_share"] == 0.75
    assert metrics["auc"] == pytest.approx(0.85)
    assert metrics["auc_gain"] == pytest.approx(0.2)
    assert metrics["new_share"] == 0.5
    assert metrics["senses"] == 1
    costs = [metrics[f"{name}_per_neuron"] for name in ("images", "judging_images", "calls", "lookups", "seconds")]
    assert costs == [2.5, 5, 0.75, 1, 0.125]


def test_means_over_nothing_are_nan():
    metrics = RefinementReport(0, 0, 0, ()).metrics
    assert metrics.pop("refined") == 0
    assert all(math.isnan(value) for value in metrics.values())


def test_the_folder_is_that_of_the_cycle():
    assert RefinementReport(0, 0, 3, (), dirpath=Path("run")).folder == Path("run/refinement/cycle-0003")
    assert RefinementReport(0, 0, 3, ()).folder is None
