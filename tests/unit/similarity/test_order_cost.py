import numpy as np
import pytest
import torch

from lightning_dissect.similarity import digit_order, order_cost
from lightning_dissect.similarity.order_cost import (
    CompiledOrderCost,
    count_steps,
    hand_out,
    key_type,
    mean_powers,
    order_cost_by_torch,
    order_cost_of_pairs,
    write_keys,
)


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
    for module in (order_cost, digit_order):
        monkeypatch.setattr(module, "compiled", lambda loop, **_: loop)


def test_steps_count_different_similarities():
    steps = np.empty((1, 5), np.uint32)
    count_steps(np.array([[0.5, 0.1, 0.5, 0.7, 0.1]]), np.array([[1, 4, 0, 2, 3]]), steps)
    assert steps.tolist() == [[1, 0, 1, 2, 0]]


def test_keys_sort_by_the_concept_and_then_as_the_neuron_does():
    steps, ranks = np.array([[8, 0, 4], [0, 0, 0]], np.uint32), np.arange(3, dtype=np.uint32)
    keys, handed_out = np.empty((2, 1, 3), np.uint32), np.empty((2, 1, 3))
    write_keys(steps, np.array([[2, 0, 1]]), ranks, keys)
    assert keys.tolist() == [[[4, 9, 2]], [[0, 1, 2]]]
    hand_out(np.array([[0.3, 0.2, 0.1]]), np.sort(keys), np.uint32(3), handed_out)
    assert handed_out.tolist() == [[[0.1, 0.3, 0.2]], [[0.3, 0.2, 0.1]]]


@pytest.mark.parametrize(("keys", "expected"), [(2**32, np.uint32), (2**32 + 1, np.uint64)])
def test_the_largest_key_fits_its_type(keys, expected):
    assert expected == key_type(keys)
    assert np.iinfo(expected).max >= keys - 1


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
    for name in ("SORTED_AT_ONCE", "KEYS_AT_ONCE"):
        monkeypatch.setattr(order_cost, name, at_once)
    values, rows, similarities = case(dtype)
    cost = CompiledOrderCost(values, rows, power).of(similarities)
    for max_bytes in (1, 2**20):
        expected = order_cost_by_torch(values, rows, similarities, power, max_bytes)
        torch.testing.assert_close(cost, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("key", [np.uint32, np.uint64])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_machine_code_costs_what_sorting_does(monkeypatch, key, dtype):
    pytest.importorskip("numba")
    monkeypatch.setattr(order_cost, "key_type", lambda _: key)
    values, rows, similarities = case(dtype)
    for power in (3.0, 1.5):
        expected = order_cost_by_torch(values, rows, similarities, power, 2**20)
        found = CompiledOrderCost(values, rows, power).of(similarities)
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.usefixtures("interpreted")
def test_images_in_no_top_do_not_count():
    values, rows, similarities = case()
    similarities[~torch.isin(torch.arange(130), rows)] = torch.nan
    assert CompiledOrderCost(values, rows, 3.0).of(similarities).isfinite().all()


@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize("power", [3.0, 1.5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("at_once", [1, 10**6])
def test_pairs_cost_what_all_do(monkeypatch, power, dtype, at_once):
    monkeypatch.setattr(order_cost, "KEYS_AT_ONCE", at_once)
    values, rows, similarities = case(dtype)
    similarities = similarities.to(dtype)
    neurons, concepts = torch.tensor([19, 0, 4, 4]), torch.tensor([2, 1, 3, 3])
    found = order_cost_of_pairs(values, rows, similarities, neurons, concepts, power)
    assert found.equal(CompiledOrderCost(values, rows, power).of(similarities)[neurons, concepts])


def test_machine_code_of_pairs_costs_what_that_of_all_does():
    pytest.importorskip("numba")
    values, rows, similarities = case()
    neurons, concepts = torch.arange(20).repeat(4), torch.arange(4).repeat_interleave(20)
    found = order_cost_of_pairs(values, rows, similarities, neurons, concepts, 3.0)
    expected = CompiledOrderCost(values, rows, 3.0).of(similarities).T.flatten()
    torch.testing.assert_close(found, expected, rtol=1e-14, atol=0)
    assert order_cost_of_pairs(values, rows, similarities, neurons[:0], concepts[:0], 3.0).shape == (0,)
