import numpy as np
import pytest
import torch

from lightning_dissect.similarity import order_bound
from lightning_dissect.similarity.order_bound import LANES, SPREAD, STEP_BITS, OrderCostBound, write_levels
from lightning_dissect.similarity.order_cost import order_cost_by_torch

pytest.importorskip("numba")


def case(top_k, concepts=LANES + 5, images=700, dtype=torch.float32):
    """Return top values and rows of 6 neurons, among them one with ties, and similarities."""
    generator = torch.Generator().manual_seed(top_k)
    activations = torch.randn(images, 6, generator=generator).exp().to(dtype)
    activations[:, 1] = activations[:, 1].round()
    similarities = torch.randn(images, concepts, generator=generator).to(dtype)
    similarities[:, 0], similarities[:, 1] = activations[:, 0], -activations[:, 0]
    similarities[:, 2], similarities[:, 3] = similarities[:, 3].round(), 0.25
    values, rows = activations.T.topk(top_k, dim=1)
    return values, rows, similarities


def slow_bound(values, rows, similarities):
    """Sort level and step of each top image and sum the cubes of one less than steps differ."""
    most = 2**STEP_BITS - 1
    sample = similarities[:: -(-len(similarities) // 256)].double()
    spread = SPREAD * sample.std(dim=0, correction=0)
    scale = torch.where(spread > 0, 2 ** (15 - STEP_BITS) / spread, 0).float()
    heights = (similarities.float() - (sample.mean(dim=0) - spread).float()) * scale
    levels = heights.clamp(0, 2 ** (16 - STEP_BITS) - 1)
    lowest = values.double().amin(dim=1, keepdim=True)
    unit = (values.double().amax(dim=1, keepdim=True) - lowest) / most
    steps = torch.where(unit > 0, (values.double() - lowest) / unit, 0).floor().clamp(max=most).long()
    bounds = torch.empty(len(values), similarities.shape[1], dtype=torch.float64)
    for neuron, own in enumerate(steps):
        keys = (levels.long()[rows[neuron]] * 2**STEP_BITS + own[:, None]).sort(dim=0).values % 2**STEP_BITS
        apart = (keys - own.sort().values[:, None]).abs().sub(1).clamp(min=0)
        bounds[neuron] = (apart * unit[neuron]).pow(3).mean(dim=0)
    return bounds


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("top_k", [2, 16, 17, 32, 33, 64, 100, 128, 200, 256, 500])
def test_equals_a_slow_transcription_and_is_below_the_cost(top_k, dtype):
    values, rows, similarities = case(top_k, dtype=dtype)
    found = OrderCostBound(values, rows).of(similarities)
    torch.testing.assert_close(found, slow_bound(values, rows, similarities), rtol=1e-4, atol=1e-12)
    cost = order_cost_by_torch(values, rows, similarities, 3.0, 2**24)
    assert (found <= cost).all()
    assert found[0, 0] == cost[0, 0] == 0


def test_is_near_the_cost_of_random_orders():
    values, rows, similarities = case(top_k=500, images=10_000)
    found = OrderCostBound(values, rows).of(similarities[:, 4:])
    cost = order_cost_by_torch(values, rows, similarities[:, 4:], 3.0, 2**26)
    assert 0.85 < (found / cost).mean() < 1


def test_concepts_are_bounded_alike_whatever_is_bounded_beside_them(monkeypatch):
    values, rows, similarities = case(top_k=40, concepts=5 * LANES + 3)
    whole = OrderCostBound(values, rows).of(similarities)
    assert OrderCostBound(values, rows).of(similarities[:, 7:90]).equal(whole[:, 7:90])
    monkeypatch.setattr(order_bound, "TILES_AT_ONCE", 1)
    assert OrderCostBound(values[2:4], rows[2:4]).of(similarities).equal(whole[2:4])


def test_values_that_are_all_equal_cost_nothing():
    values, rows, similarities = case(top_k=20)
    assert OrderCostBound(torch.ones_like(values), rows).of(similarities).eq(0).all()


def test_levels_are_clipped_and_leave_room_for_a_step():
    similarities = np.array([[-9.0, 0.5], [0.26, 9.0]], np.float32)
    levels = np.full((1, 3, LANES), 7, np.uint16)
    lowest, scale = np.zeros(2, np.float32), np.full(2, 100, np.float32)
    write_levels(similarities, np.array([1, 0]), lowest, scale, 0, 2, levels)
    assert (levels[0, :, :2] >> STEP_BITS).tolist() == [[26, 127], [0, 50], [0, 0]]
    assert (levels[0, 2] == 7).all()
    assert (levels[0, :2, 2:] == 7).all()
