import json
import math

import pytest

from lightning_dissect.dashboard.refined_data import refined_data
from lightning_dissect.label_refinement import LabelRefinement
from lightning_dissect.refinement_report import RefinementReport
from tests.helpers.refined import judged, refined_report


def test_of_a_neuron_the_last_search_counts():
    later = LabelRefinement("layer4", 5, "wolf", "wolf", "dog", (), "budget", start_judged=judged(math.nan))
    data = refined_data([refined_report(pictures={}), RefinementReport(6, 20_000, 5, (later,))])
    json.dumps(data, allow_nan=False)
    assert list(data) == ["layer4", "body.conv.pointwise"]
    found = data["layer4"]["5"]
    assert (found["page"], found["step"], found["label"]) == ("refinement/cycle-0005/refinement.html", 20_000, "wolf")
    assert (found["auc"], found["aucBefore"], found["trials"], found["senses"]) == (None, None, [], [])
    assert data["layer4"]["6"]["page"] == "refinement/cycle-0003/refinement.html"


def test_the_path_and_the_best_concepts_are_there():
    neuron = refined_report(pictures={}).neurons[18]
    found = refined_data([RefinementReport(0, 0, 0, (neuron,))])["body.conv.pointwise"]["3"]
    assert found["trials"][0] == ["ocean at dusk", 0.8, "scored"]
    assert found["trials"][6] == ["Dogs", None, "repeat"]
    assert [found["trials"][place][1] for place in found["shown"]] == pytest.approx([3.125, 2.4, 2.2, 2.0, 1.8, 1.6])
    assert found["auc"] == pytest.approx([0.94, 0.8775, 1.0])
    assert [share for _, share in found["senses"]] == [0.7, 0.3]
