import math
from dataclasses import replace

import pytest
import torch

from lightning_dissect.presence import ConceptPresence
from lightning_dissect.similarity import Correlation, prepare
from lightning_dissect.similarity.concept_space import ConceptSpace
from lightning_dissect.trust import TrustTable, UntrainedFloor, assess_labels

NAMES = [["cat", "dog"], ["sky", "sea"], ["car", "bus"], ["sun", "moon"], ["oak", "elm"]]


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def table():
    """A clear neuron, two with a tie, one below the floor, one dead."""
    nan = math.nan
    column = torch.tensor([0.6, 0.5, 0.4, 0.3, nan], dtype=torch.float64)
    return TrustTable(
        quality=torch.stack([column, column - 0.1], dim=1),
        low=torch.stack([column - 0.2, column - 0.3], dim=1),
        high=torch.stack([column + 0.1, column], dim=1),
        contenders=torch.tensor([[True, False], [True, True], [False, True], [True, True], [False, False]]),
        p_chance=torch.tensor([0.01, 0.01, 0.01, 0.01, nan]),
        q_chance=torch.tensor([0.02, 0.02, 0.02, 0.02, nan]),
        explained=torch.tensor([0.5, 0.4, 0.3, 0.0, nan]),
        p_untrained=torch.tensor([0.01, 0.01, 0.01, 0.3, nan]),
        q_untrained=torch.tensor([0.02, 0.02, 0.02, 0.3, nan]),
    )


def test_verdicts(table):
    records = table.records(NAMES)
    assert [record.verdict for record in records] == [
        "labelled",
        "ambiguous",
        "ambiguous",
        "no clear function",
        "no clear function",
    ]
    assert [record.contenders for record in records[:3]] == [("cat",), ("sky", "sea"), ("bus",)]
    assert records[0].interval == pytest.approx((0.4, 0.7))
    assert records[3].q_untrained == pytest.approx(0.3)
    assert math.isnan(records[4].p_chance)


def test_both_nulls_must_be_beaten(table):
    assert table.has_function().tolist() == [True, True, True, False, False]
    assert table.has_function(0.01).tolist() == [False] * 5
    without_floor = replace(table, q_untrained=torch.full((5,), math.nan))
    assert without_floor.has_function().tolist() == [True, True, True, True, False]
    by_chance = replace(table, q_chance=torch.ones(5))
    assert not by_chance.has_function().any()


def test_no_candidates_means_no_contenders(table):
    assert table.records([*NAMES[:4], []])[4].contenders == ()


def test_a_neuron_without_defined_quality_is_not_ambiguous(table):
    undefined = replace(table, contenders=torch.zeros(5, 2, dtype=torch.bool))
    assert undefined.records(NAMES)[0].verdict == "labelled"


def test_from_tensors_to_records():
    concept_matrix = draw(200, 12)
    activations = torch.cat([concept_matrix[:, :3], draw(200, 3, seed=1), torch.zeros(200, 1)], dim=1)
    candidates = torch.tensor([[0, 5], [1, 5], [2, -1], [3, 4], [3, 4], [3, 4], [3, 4]])
    floor = UntrainedFloor(ConceptSpace(concept_matrix, 64, 0, 2**20), list(draw(4, 200, 40, seed=2)))
    presence = ConceptPresence(concept_matrix).columns
    table = assess_labels(activations, prepare(Correlation(), concept_matrix), presence, candidates, floor)
    names = [[f"concept {index}" for index in row if index >= 0] for row in candidates.tolist()]
    verdicts = [record.verdict for record in table.records(names)]
    assert verdicts == ["labelled"] * 3 + ["no clear function"] * 4
    assert table.p_untrained.isnan().tolist() == table.p_chance.isnan().tolist() == [False] * 6 + [True]
    assert (table.low[:3, 0] < table.quality[:3, 0]).all()
