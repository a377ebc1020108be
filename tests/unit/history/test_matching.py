from itertools import permutations

import numpy as np
import pytest

from lightning_dissect.history.matching import match_units


def activations(images=128, units=12, seed=0):
    return np.random.default_rng(seed).normal(size=(images, units))


def best_pairing(first, second):
    """The matching by its definition: of all ways to pair units the one with the largest sum of correlations."""
    correlation = np.corrcoef(first, second, rowvar=False)[: first.shape[1], first.shape[1] :]
    ways = permutations(range(second.shape[1]), first.shape[1])
    return max(ways, key=lambda way: sum(correlation[unit, partner] for unit, partner in enumerate(way)))


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_permuted_channels_are_found_exactly(dtype):
    first = activations(units=64).astype(dtype)
    order = np.random.default_rng(1).permutation(64)
    matching = match_units(first, first[:, order])
    assert matching.pairs.tolist() == [[unit, place] for unit, place in enumerate(np.argsort(order))]
    np.testing.assert_allclose(matching.correlation, 1, atol=1e-6)
    assert matching.significant_share == 1
    assert not len(matching.unmatched_first)
    assert not len(matching.unmatched_second)


@pytest.mark.parametrize("seed", range(5))
def test_no_other_pairing_correlates_more(seed):
    first, second = activations(16, 4, seed), activations(16, 6, seed + 100)
    second[:, :3] += first[:, :3]
    matching = match_units(first, second, minimum=-1)
    assert matching.pairs[:, 1].tolist() == list(best_pairing(first, second))
    expected = [np.corrcoef(first[:, unit], second[:, partner])[0, 1] for unit, partner in matching.pairs]
    np.testing.assert_allclose(matching.correlation, expected, atol=1e-5)


def test_the_smaller_network_decides_how_many_pairs_there_are():
    first = activations(units=5)
    matching = match_units(first, first[:, [4, 1]])
    assert matching.pairs.tolist() == [[1, 1], [4, 0]]
    assert matching.unmatched_first.tolist() == [0, 2, 3]
    back = match_units(first[:, [4, 1]], first)
    assert back.pairs.tolist() == [[0, 4], [1, 1]]
    assert back.unmatched_second.tolist() == [0, 2, 3]


def test_scale_and_offset_do_not_matter():
    first = activations()
    assert match_units(first, 1e-3 * first[:, ::-1] + 7).pairs[:, 1].tolist() == list(range(12))[::-1]


def test_a_mirror_image_is_no_partner():
    first = activations(units=2)
    matching = match_units(first, first * [1, -1])
    assert matching.pairs.tolist() == [[0, 0]]
    assert matching.unmatched_first.tolist() == matching.unmatched_second.tolist() == [1]


def test_pairs_below_the_minimum_are_dropped():
    first = activations(units=2)
    second = np.stack([first[:, 0], activations(units=1, seed=9)[:, 0] + 0.5 * first[:, 1]], axis=1)
    assert len(match_units(first, second).pairs) == 2
    assert match_units(first, second, minimum=0.8).pairs.tolist() == [[0, 0]]


def test_copies_keep_their_numbers():
    first = activations(units=6)
    first[:, [1, 3, 5]] = first[:, [0]]
    assert match_units(first, first).pairs.tolist() == [[unit, unit] for unit in range(6)]
    matching = match_units(first, first)
    assert matching.correlation.max() <= 1
    np.testing.assert_allclose(matching.correlation, 1, atol=1e-6)


def test_constant_and_non_finite_units_have_no_partner():
    first, second = activations(units=5), activations(units=5)
    first[:, 0], first[3, 1] = 2.5, np.nan
    second[7, 2] = np.inf
    matching = match_units(first, second)
    assert {(3, 3), (4, 4)} <= set(map(tuple, matching.pairs.tolist()))
    assert {0, 1} <= set(matching.unmatched_first.tolist())
    assert 2 in matching.unmatched_second


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (np.ones((9, 3)), activations(9, 2)),
        (activations(9, 2), np.ones((9, 0))),
        (np.ones((0, 3)), np.ones((0, 2))),
        (np.ones((1, 3)), np.ones((1, 2))),
    ],
)
def test_where_nothing_can_be_matched_everything_is_unmatched(first, second):
    matching = match_units(first, second)
    assert matching.pairs.shape == (0, 2)
    assert matching.unmatched_first.tolist() == list(range(first.shape[1]))
    assert matching.unmatched_second.tolist() == list(range(second.shape[1]))
    assert np.isnan([matching.chance, matching.significant_share]).all()


@pytest.mark.parametrize("units", [20, 50])
def test_of_strangers_five_per_cent_look_significant(units):
    """Measured over 200 pairs of networks: 0.056 with 20 units, 0.049 with 50."""
    shares = [
        match_units(activations(64, units, seed), activations(64, units, seed + 50), minimum=-1).significant_share
        for seed in range(20)
    ]
    assert 0.03 < np.mean(shares) < 0.08


def test_relatives_are_told_from_strangers():
    first = activations(256, 60)
    second = activations(256, 60, seed=1)
    second[:, :30] += 2 * first[:, :30]
    matching = match_units(first, second)
    related = matching.pairs[:, 0] < 30
    assert matching.significant[related].all()
    assert matching.significant[~related].mean() < 0.2
    assert (matching.pairs[related, 0] == matching.pairs[related, 1]).all()


def test_the_seed_alone_decides_what_chance_is():
    first, second = activations(), activations(seed=1)
    assert match_units(first, second, seed=3).chance == match_units(first, second, seed=3).chance
    assert match_units(first, second, seed=3).chance != match_units(first, second, seed=4).chance


def test_says_what_is_wrong():
    with pytest.raises(ValueError, match=r"Expected `second` to have shape \(images, units\) but got \(5,\)"):
        match_units(activations(5, 2), np.ones(5))
    with pytest.raises(ValueError, match="same images in the same order but got 5 and 6 images"):
        match_units(activations(5, 2), activations(6, 2))
