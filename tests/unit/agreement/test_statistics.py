import math
import warnings

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, jaccard_score

from lightning_dissect.agreement import (
    STATISTICS,
    ConfusionTable,
    agreement_rate,
    cohen_kappa,
    gwet_ac1,
    intersection_over_union,
)

WIDTHS = (256, 512, 1024, 2048)
"""Neurons of the four layers of the published evaluation."""

PUBLISHED = {
    "BLIP-2": ((221, 412, 801, 1673), ("0.8633", "0.8047", "0.7822", "0.8169"), "0.809"),
    "embedding similarity": ((226, 405, 785, 1563), ("0.8828", "0.7910", "0.7666", "0.7632"), "0.776"),
}
"""Neurons on which a judge says what people say, and what was published as intersection over union with them."""


def answers(counts):
    """The two columns of answers that have these counts."""
    pairs = np.repeat([(1, 1), (1, 0), (0, 1), (0, 0)], np.asarray(counts).astype(int), axis=0)
    return pairs[:, 0], pairs[:, 1]


def drawn_counts(seed=0, number=60):
    return np.random.default_rng(seed).integers(0, 12, (number, 4)).astype(float)


@pytest.mark.parametrize("judge", PUBLISHED)
def test_the_published_figures_are_agreement_rates(judge):
    agreeing, cells, overall = PUBLISHED[judge]
    tables = [
        ConfusionTable(same - same // 3, (width - same) // 2, width - same - (width - same) // 2, same // 3)
        for same, width in zip(agreeing, WIDTHS, strict=True)
    ]
    assert [f"{agreement_rate(table.counts):.4f}" for table in tables] == list(cells)
    total = sum(tables[1:], start=tables[0])
    assert total.total == sum(WIDTHS) == 3840
    assert f"{agreement_rate(total.counts):.3f}" == overall
    assert intersection_over_union(total.counts) < agreement_rate(total.counts)


@pytest.mark.parametrize("judge", PUBLISHED)
def test_the_whole_counts_behind_the_published_figures_are_the_only_ones(judge):
    agreeing, cells, _ = PUBLISHED[judge]
    found = [
        [same for same in range(width + 1) if f"{same / width:.4f}" == cell]
        for cell, width in zip(cells, WIDTHS, strict=True)
    ]
    assert found == [[same] for same in agreeing]


def test_the_published_row_of_concept_proportion_stands_one_layer_too_far_left():
    def possible(cell, width):
        return [same for same in range(width + 1) if f"{same / width:.4f}" == cell]

    assert [possible("0.8105", 256), possible("0.7568", 512)] == [[], []]
    assert [possible("0.8105", 512), possible("0.7568", 1024), possible("0.7520", 2048)] == [[415], [775], [1540]]


def test_kappa_is_that_of_scikit_learn():
    for counts in drawn_counts() + 1:
        assert cohen_kappa(counts) == pytest.approx(cohen_kappa_score(*answers(counts)), abs=1e-12)


def test_intersection_over_union_is_the_jaccard_score():
    for counts in drawn_counts(1):
        assert intersection_over_union(counts) == pytest.approx(jaccard_score(*answers(counts)), abs=1e-12)


def test_ac1_by_hand():
    # 125 labels: p_o = 118 / 125, pi = (123 + 120) / 250, p_e = 2 pi (1 - pi) = 0.054432.
    assert gwet_ac1(np.array([118.0, 5, 2, 0])) == pytest.approx((0.944 - 0.054432) / (1 - 0.054432))
    # 10 labels: p_o = 0.8, pi = 0.5, so chance is one half and AC1 is 0.6, as kappa is.
    assert gwet_ac1(np.array([4.0, 1, 1, 4])) == pytest.approx(0.6)
    assert cohen_kappa(np.array([4.0, 1, 1, 4])) == pytest.approx(0.6)


def test_formulas_as_printed():
    for a, b, c, d in drawn_counts(2):
        total, first, second = a + b + c + d, (a + b) / (a + b + c + d), (a + c) / (a + b + c + d)
        observed = (a + d) / total
        pi = (first + second) / 2
        by_chance = {
            "kappa": first * second + (1 - first) * (1 - second),
            "ac1": 2 * pi * (1 - pi),
        }
        for name, chance in by_chance.items():
            expected = (observed - chance) / (1 - chance)
            assert STATISTICS[name](np.array([a, b, c, d])) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", STATISTICS)
def test_many_tables_at_once_are_as_one_by_one_and_judges_may_be_swapped(name):
    counts = drawn_counts(3).reshape(5, 12, 4)
    many = STATISTICS[name](counts)
    assert many.shape == (5, 12)
    assert many[2, 7] == STATISTICS[name](counts[2, 7])
    np.testing.assert_array_equal(many, STATISTICS[name](counts[..., [0, 2, 1, 3]]))
    assert STATISTICS[name](np.array([30.0, 0, 0, 12])) == 1


@pytest.mark.parametrize("name", ["agreement", "kappa", "ac1"])
def test_yes_and_no_may_be_swapped(name):
    counts = drawn_counts(4)
    np.testing.assert_allclose(STATISTICS[name](counts), STATISTICS[name](counts[:, ::-1]))


@pytest.mark.parametrize(
    ("counts", "undefined"),
    [
        ((0, 0, 0, 0), {"agreement", "iou", "kappa", "ac1"}),
        ((0, 0, 0, 7), {"iou", "kappa"}),
        ((7, 0, 0, 0), {"kappa"}),
        ((7, 0, 2, 0), set()),
    ],
)
def test_what_is_undefined_is_nan_without_a_warning(counts, undefined):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = {name: float(statistic(np.array(counts, dtype=float))) for name, statistic in STATISTICS.items()}
    assert {name for name, value in values.items() if math.isnan(value)} == undefined


def test_a_judge_who_always_says_yes_has_no_agreement_beyond_chance():
    always_yes = np.array([65.0, 0, 35, 0])
    assert cohen_kappa(always_yes) == cohen_kappa_score(*answers(always_yes)) == 0
    assert agreement_rate(always_yes) == 0.65
