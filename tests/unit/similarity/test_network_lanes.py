import numpy as np
import pytest

from lightning_dissect.similarity.order_bound import LANES, STEP_BITS
from lightning_dissect.similarity.sorting_network import BASE, half_cleaners, merging_passes, mirrored

numba = pytest.importorskip("numba")

from lightning_dissect.similarity import network_lanes  # noqa: E402


def case(rows, top_k):
    """Return levels of 60 images and of what is none, places and steps of 3 neurons, and their expected bounds."""
    generator = np.random.default_rng(rows + top_k)
    levels = generator.integers(2 ** (16 - STEP_BITS), size=(61, LANES), dtype=np.uint16) << STEP_BITS
    levels[-1] = 2**16 - 1
    places = np.full((3, rows), 60, np.uint32)
    places[:, :top_k] = generator.integers(60, size=(3, top_k))
    steps = np.full((3, rows), 2**STEP_BITS - 1, np.uint16)
    steps[:, :top_k] = np.sort(generator.integers(2**STEP_BITS, size=(3, top_k)))
    keys = np.sort(levels[places] | steps[:, :, None], axis=1)[:, :top_k] & (2**STEP_BITS - 1)
    apart = np.abs(keys.astype(np.int64) - steps[:, :top_k, None].astype(np.int64))
    return (levels, places, steps), (np.maximum(apart - 1, 0) ** 3).sum(axis=1)


@pytest.mark.parametrize(("rows", "top_k"), [(32, 20), (64, 64), (128, 65), (256, 200), (512, 500), (1024, 1000)])
def test_machine_code_sums_the_cubes_of_one_less_than_steps_differ(rows, top_k):
    inputs, expected = case(rows, top_k)
    keys, bounds = np.empty((rows, LANES), np.uint16), np.empty((3, LANES), np.float32)
    passes = np.array(list(merging_passes(rows)))
    numba.njit(network_lanes.bound_costs)(*inputs, passes, keys, bounds)
    np.testing.assert_allclose(bounds, expected, rtol=1e-5)


@pytest.mark.parametrize("rows", [32, 256, 512])
def test_every_pass_runs_once_and_in_order(rows, monkeypatch):
    """What is machine code, interpreted: only what calls it is real."""
    inputs, expected = case(rows, rows)
    monkeypatch.setattr(network_lanes, "write_sorted", write_sorted)
    for height in (4, 8, 16):
        monkeypatch.setattr(network_lanes, f"merge_{height}", interpreted(mirrored(height), -1))
    for height in (8, 16):
        clean = interpreted(half_cleaners(height), 1)
        monkeypatch.setattr(network_lanes, f"clean_{height}", clean)
        monkeypatch.setattr(network_lanes, f"finish_{height}", finishing(clean, height))
    keys, bounds = np.empty((rows, LANES), np.uint16), np.empty((3, LANES), np.float32)
    network_lanes.bound_costs(*inputs, np.array(list(merging_passes(rows))), keys, bounds)
    np.testing.assert_allclose(bounds, expected, rtol=1e-5)


def write_sorted(levels, places, steps, start, keys, row):  # noqa: PLR0917
    some = slice(start, start + BASE)
    keys[row : row + BASE] = np.sort(levels[places.flat[some]] | steps.flat[some][:, None], axis=0)


def interpreted(comparators, back):
    half = max(max(pair) for pair in comparators) // 2 + 1

    def run(keys, first, second, apart, block, blocks):  # noqa: PLR0917
        for begin in range(0, block * blocks, block):
            for step in range(2**apart):
                starts = first + begin + step, second + begin + back * step
                rows = [start + 2**apart * row for start in starts for row in range(half)]
                for low, high in comparators:
                    pair = keys[[rows[low], rows[high]]]
                    keys[rows[low]], keys[rows[high]] = pair.min(axis=0), pair.max(axis=0)

    return run


def finishing(clean, height):
    def run(keys, blocks, steps, start, bounds, neuron):  # noqa: PLR0917
        clean(keys, 0, height // 2, 0, height, blocks)
        own = steps.flat[start : start + len(keys)].astype(np.int64)[:, None]
        apart = np.abs((keys & (2**STEP_BITS - 1)).astype(np.int64) - own)
        bounds[neuron] = (np.maximum(apart - 1, 0) ** 3).sum(axis=0)

    return run
