import math
import warnings

import numpy as np
import pytest
from scipy import stats

from lightning_dissect.agreement import STATISTICS, ConfusionTable, estimates


@pytest.mark.parametrize("counts", [(20, 5, 10, 15), (60, 9, 4, 27), (118, 9, 6, 12)])
@pytest.mark.parametrize("name", STATISTICS)
def test_intervals_are_those_of_scipy(name, counts):
    rows = np.repeat(np.eye(4), counts, axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expected = stats.bootstrap(
            (np.arange(len(rows)),),
            lambda places, axis: STATISTICS[name](rows[places].sum(axis=-2)),
            n_resamples=4000,
            batch=500,
            method="BCa",
            rng=np.random.default_rng(1),
        ).confidence_interval
    found = estimates(ConfusionTable(*counts), resamples=40_000)[name]
    assert found.low == pytest.approx(expected.low, abs=0.025)
    assert found.high == pytest.approx(expected.high, abs=0.025)
    assert found.low < found.value < found.high


def test_intervals_cover_the_truth():
    random = np.random.default_rng(3)
    shares = np.array([0.5, 0.1, 0.15, 0.25])
    truth = {name: float(statistic(shares)) for name, statistic in STATISTICS.items()}
    hits = dict.fromkeys(truth, 0)
    for counts in random.multinomial(80, shares, size=400):
        for name, found in estimates(ConfusionTable(*counts.tolist()), resamples=999).items():
            hits[name] += found.low <= truth[name] <= found.high
    assert all(0.91 <= hit / 400 <= 0.98 for hit in hits.values()), hits


def test_intervals_are_narrower_with_more_neurons_and_wider_with_more_confidence():
    def width(factor, confidence=0.95):
        table = ConfusionTable(20 * factor, 5 * factor, 10 * factor, 15 * factor)
        found = estimates(table, confidence)["kappa"]
        return found.high - found.low

    assert width(100) == pytest.approx(width(1) / 10, rel=0.1)
    assert width(1, 0.8) < width(1) < width(1, 0.99)


def test_the_seed_decides():
    table = ConfusionTable(20, 5, 10, 15)
    assert estimates(table, seed=1) == estimates(table, seed=1) != estimates(table, seed=2)


@pytest.mark.parametrize("counts", [(0, 0, 0, 0), (1, 0, 0, 0)])
def test_of_fewer_than_two_labels_everything_is_undefined(counts):
    for found in estimates(ConfusionTable(*counts)).values():
        assert all(map(math.isnan, found))


def test_where_a_statistic_is_undefined_so_is_its_interval():
    found = estimates(ConfusionTable(0, 0, 0, 9))
    assert all(map(math.isnan, found["kappa"]))
    assert found["agreement"] == (1, 1, 1)


def test_resamples_in_which_a_statistic_is_undefined_do_not_count():
    found = estimates(ConfusionTable(1, 0, 0, 3))["iou"]
    assert found == (1, 1, 1)


def test_few_labels_keep_the_interval_within_what_is_possible():
    for counts in ([2, 1, 1, 1], [1, 1, 0, 0], [0, 1, 0, 9], [0, 1, 1, 0], [30, 0, 1, 0]):
        for name, found in estimates(ConfusionTable(*counts)).items():
            if not math.isnan(found.value):
                assert -1 <= found.low <= found.high <= 1, (counts, name)


def test_wrong_arguments():
    table = ConfusionTable(1, 1, 1, 1)
    with pytest.raises(ValueError, match="Expected `confidence` to be between 0 and 1 but got 95"):
        estimates(table, confidence=95)
    with pytest.raises(ValueError, match="Expected `resamples` to be at least 1 but got 0"):
        estimates(table, resamples=0)
