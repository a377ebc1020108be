import numpy as np
import pytest
import torch

from lightning_dissect.similarity import order_cost
from lightning_dissect.similarity.order_cost import CompiledOrderCost, hand_out, mean_powers, order_cost_by_torch


def case(dtype=torch.float32):
    """Return top values and rows of 20 neurons, and concepts without ties, with some, and with nothing else."""
    generator = torch.Generator().manual_seed(0)
    similarities = torch.randn(130, 4, generator=generator)
    similarities[:, 1], similarities[:, 2] = similarities[:, 1].round(), 0.5
    similarities[-2:, 3] = similarities[:, 3].max() + 1
    values, rows = torch.randn(130, 20, generator=generator, dtype=dtype).T.topk(9, dim=1)
    return values, rows, similarities


@pytest.fixture
def interpreted(monkeypatch):
    """Have loops run as they stand, so that every line of them is seen."""
    monkeypatch.setattr(order_cost, "compiled", lambda loop, **_: loop)


def test_values_are_handed_out_from_the_least_similar_image_on():
    handed_out = np.empty((1, 2, 2))
    starts, neurons = np.array([0, 1, 3, 4], np.uint32), np.array([0, 0, 1, 1], np.uint16)
    values, tied = np.array([0.1, 0.2, 1.2, 1.3]), np.zeros((1, 3), np.bool_)
    hand_out(np.array([[2, 0, 1]], np.uint32), tied, starts, neurons, values, handed_out)
    assert handed_out.tolist() == [[[0.1, 0.2], [1.3, 1.2]]]


def test_equally_similar_images_are_in_the_order_of_each_neuron():
    handed_out = np.empty((1, 2, 3))
    starts, neurons = np.array([0, 2, 4, 6], np.uint32), np.array([0, 1] * 3, np.uint16)
    values, tied = np.array([0.1, 1.3, 0.2, 1.2, 0.3, 1.1]), np.array([[True, False, False]])
    hand_out(np.array([[0, 1, 2]], np.uint32), tied, starts, neurons, values, handed_out)
    assert handed_out.tolist() == [[[0.2, 0.1, 0.3], [1.3, 1.2, 1.1]]]


@pytest.mark.parametrize("power", [3.0, 1.5])
def test_mean_power_of_differences(power):
    ascending, handed_out = np.array([[1.0, 2.0, 4.0]]), np.array([[[2.0, 4.0, 1.0]], [[1.0, 2.0, 4.0]]])
    cost = np.empty((2, 1))
    mean_powers(ascending, handed_out, power, cost)
    np.testing.assert_allclose(cost[:, 0], [(1 + 2**power + 3**power) / 3, 0])


@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize("power", [3.0, 1.5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("at_once", [1, 50, 10**6])
def test_costs_what_sorting_does(monkeypatch, power, dtype, at_once):
    for name in ("SORTED_AT_ONCE", "HANDED_OUT_AT_ONCE"):
        monkeypatch.setattr(order_cost, name, at_once)
    monkeypatch.setattr(order_cost, "FEW_NEURONS", 7)
    values, rows, similarities = case(dtype)
    cost = CompiledOrderCost(values, rows, power).of(similarities)
    for max_bytes in (1, 2**20):
        expected = order_cost_by_torch(values, rows, similarities, power, max_bytes)
        torch.testing.assert_close(cost, expected, rtol=1e-9, atol=1e-12)


def test_machine_code_costs_what_sorting_does():
    pytest.importorskip("numba")
    values, rows, similarities = case()
    for power in (3.0, 1.5):
        expected = order_cost_by_torch(values, rows, similarities, power, 2**20)
        found = CompiledOrderCost(values, rows, power).of(similarities)
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.usefixtures("interpreted")
def test_images_in_no_top_do_not_count():
    values, rows, similarities = case()
    similarities[~torch.isin(torch.arange(130), rows)] = torch.nan
    assert CompiledOrderCost(values, rows, 3.0).of(similarities).isfinite().all()
