from itertools import product

import numpy as np
import pytest

from lightning_dissect.similarity.sorting_network import (
    BASE,
    MOST_LEVELS,
    batcher,
    half_cleaners,
    merging_passes,
    mirrored,
)


def compare(rows, comparators, places=None):
    places = range(len(rows)) if places is None else places
    for first, second in comparators:
        if rows[places[first]] > rows[places[second]]:
            rows[places[first]], rows[places[second]] = rows[places[second]], rows[places[first]]
    return rows


@pytest.mark.parametrize("rows", [2, 4, 8, 16])
def test_a_network_that_sorts_zeros_and_ones_sorts_everything(rows):
    """Knuth's 0-1 principle; Batcher's network of 16 rows has 63 comparators."""
    bits = np.arange(2**rows) >> np.arange(rows)[:, None] & 1
    for first, second in batcher(rows):
        bits[first], bits[second] = np.minimum(bits[first], bits[second]), np.maximum(bits[first], bits[second])
    assert (np.diff(bits, axis=0) >= 0).all()
    assert rows != 16 or len(batcher(rows)) == 63


@pytest.mark.parametrize("rows", [2, 4, 8, 16])
def test_merging_two_sorted_halves_of_zeros_and_ones(rows):
    half = rows // 2
    for ones in product(range(half + 1), repeat=2):
        bits = [int(row >= half - count) for count in ones for row in range(half)]
        assert compare(bits, mirrored(rows)) == sorted(bits)


@pytest.mark.parametrize("rows", [2, 4, 8, 16])
def test_cleaning_zeros_and_ones_that_rise_and_fall(rows):
    for start, stop in product(range(rows + 1), repeat=2):
        bits = [int((start <= row < stop) != (start > stop)) for row in range(rows)]
        assert compare(bits, half_cleaners(rows)) == sorted(bits)


@pytest.mark.parametrize("rows", [32, 64, 128, 256, 512, 1024, 2048])
def test_passes_merge_sorted_runs(rows):
    values = np.random.default_rng(rows).integers(rows, size=rows)
    merged = np.sort(values.reshape(-1, BASE)).flatten().tolist()
    for levels, is_mirrored, first, second, apart, block, blocks in merging_passes(rows):
        assert 2 <= levels <= MOST_LEVELS
        size, stride = 2**levels, 2**apart
        comparators = mirrored(size) if is_mirrored else half_cleaners(size)
        for begin, by in product(range(0, block * blocks, block), range(stride)):
            halves = first + begin + by, second + begin + (-by if is_mirrored else by)
            compare(merged, comparators, [start + stride * row for start in halves for row in range(size // 2)])
    assert merged == sorted(values)
    assert (is_mirrored, first, apart, block * blocks) == (0, 0, 0, rows)
