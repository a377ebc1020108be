import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from lightning_dissect.metrics import ranks as module
from lightning_dissect.metrics.ranks import centred_ranks, check_ties, counts_above, random_orders, rank_runs

ROWS = st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=25)


@pytest.mark.parametrize("compiled", [True, False])
def test_midranks_and_places_are_those_of_scipy(compiled, monkeypatch):
    monkeypatch.setattr(module, "runs_compiled", lambda *tensors: compiled)

    @settings(max_examples=100, deadline=None)
    @given(ROWS)
    def check(values):
        row = torch.tensor(values)
        expected = torch.from_numpy(rankdata(values)) - (len(values) + 1) / 2
        torch.testing.assert_close(centred_ranks(row[None])[0], expected, rtol=0, atol=0)
        assert counts_above(row[None])[0].tolist() == rankdata(-row.numpy(), method="max").tolist()

    check()


def test_the_loop_means_the_same_before_it_is_compiled():
    ranks = np.zeros(4)
    rank_runs(np.array([0.2, 0.7, 0.2, 0.9]), np.array([2, 0, 1, 3]), (0.5, 0.5, -2.0), ranks)
    assert ranks.tolist() == [-1, 0.5, -1, 1.5]


@settings(max_examples=50, deadline=None)
@given(ROWS)
def test_random_ranks_are_an_order_of_the_values(values):
    row = torch.tensor(values)
    order, _ = random_orders(0, len(values), row.device)
    ranks = centred_ranks(row[None], order)[0] + (len(values) - 1) / 2
    assert sorted(ranks.tolist()) == list(range(len(values)))
    assert row[ranks.argsort()].tolist() == sorted(values)


def test_values_that_differ_in_the_last_bit_are_told_apart():
    row = torch.arange(1000, dtype=torch.float64) * 5e-11
    assert centred_ranks(row[None])[0].argsort().tolist() == list(range(1000))


def test_ties_have_two_rules():
    check_ties("random")
    with pytest.raises(ValueError, match="'mid' or 'random'"):
        check_ties("first")
