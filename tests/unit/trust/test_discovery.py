import math

import pytest
import torch
from scipy.stats import false_discovery_control

from lightning_dissect.trust import exceedance_p_values, false_discovery_q_values


@pytest.mark.parametrize("count", [1, 2, 50])
def test_q_values_are_those_of_scipy(count):
    p_values = torch.rand(count, generator=torch.Generator().manual_seed(0), dtype=torch.float64).square()
    expected = torch.from_numpy(false_discovery_control(p_values.numpy()))
    torch.testing.assert_close(false_discovery_q_values(p_values), expected)


def test_neurons_without_a_p_value_do_not_count():
    p_values = torch.tensor([math.nan, 0.01, 0.04, math.nan], dtype=torch.float64)
    q_values = false_discovery_q_values(p_values)
    assert q_values.isnan().tolist() == [True, False, False, True]
    torch.testing.assert_close(q_values[1:3], torch.tensor([0.02, 0.04], dtype=torch.float64))


def test_no_neuron_at_all():
    assert false_discovery_q_values(torch.tensor([math.nan])).isnan().all()


def test_p_values_count_ties_and_are_never_zero():
    null = torch.tensor([3.0, 1.0, 2.0, 2.0])
    statistics = torch.tensor([0.0, 2.0, 2.5, 9.0, math.nan])
    assert exceedance_p_values(statistics, null).tolist() == [1.0, 0.8, 0.4, 0.2, 1.0]


def test_exact_under_the_null():
    draws = torch.randn(2000, 20, generator=torch.Generator().manual_seed(0))
    p_values = torch.cat([exceedance_p_values(row[:1], row[1:]) for row in draws])
    assert abs((p_values <= 0.05).double().mean() - 0.05) < 3 * math.sqrt(0.05 * 0.95 / 2000)
