import math
from dataclasses import replace

import pytest
import torch

from lightning_dissect.trust import TrustTable

NAMES = [["cat", "dog"], ["sky", "sea"], ["car", "bus"], ["sun", "moon"], ["oak", "elm"]]


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
        stability=torch.tensor([1.0, 0.5, 0.75, 0.5, nan]),
    )


def test_verdicts(table):
    *judged, dead = table.records(NAMES)
    assert dead is None
    verdicts, records = zip(*judged, strict=True)
    assert verdicts == ("labelled", "ambiguous", "ambiguous", "no_clear_function")
    assert [record.contenders for record in records[:3]] == [("cat",), ("sky", "sea"), ("bus",)]
    assert records[0].interval == pytest.approx((0.4, 0.7))
    assert records[3].q_untrained == pytest.approx(0.3)
    assert [record.stability for record in records] == [1.0, 0.5, 0.75, 0.5]


def test_both_nulls_must_be_beaten(table):
    assert table.has_function().tolist() == [True, True, True, False, False]
    assert table.has_function(0.01).tolist() == [False] * 5
    without_floor = replace(table, q_untrained=torch.full((5,), math.nan))
    assert without_floor.has_function().tolist() == [True, True, True, True, False]
    by_chance = replace(table, q_chance=torch.ones(5))
    assert not by_chance.has_function().any()


def test_without_a_candidate_there_is_nothing_to_judge(table):
    assert table.records([[], *NAMES[1:]])[0] is None


def test_a_neuron_without_defined_quality_is_not_ambiguous(table):
    undefined = replace(table, contenders=torch.zeros(5, 2, dtype=torch.bool))
    verdict, record = undefined.records(NAMES)[0]
    assert (verdict, record.contenders) == ("labelled", ())
