import math

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from lightning_dissect.refine import cosy_score, summarise_cosy


def activations(seed, size, mean=0.0, levels=None):
    values = np.random.default_rng(seed).standard_normal(size) + mean
    return torch.from_numpy(values if levels is None else np.round(values * levels) / levels)


def test_the_published_definitions_on_a_small_example():
    score = cosy_score(torch.tensor([0.0, 0.0, 1.0, 2.0]), torch.tensor([1.0, 3.0]))
    assert (score.auc, score.difference, score.u) == (0.8125, 1.25, 1.5)
    assert score.mad == pytest.approx(1.3056, abs=1e-4)
    assert (score.num_control, score.num_synthetic, score.is_scorable) == (4, 2, True)


@pytest.mark.parametrize("levels", [None, 2])
@pytest.mark.parametrize("seed", range(3))
def test_auc_is_that_of_scikit_learn_with_and_without_ties(seed, levels):
    control, synthetic = activations(seed, 200, levels=levels), activations(seed + 9, 25, 0.7, levels)
    score = cosy_score(control, synthetic)
    truth = np.repeat([0, 1], [200, 25])
    assert score.auc == pytest.approx(roc_auc_score(truth, torch.cat([control, synthetic])))
    assert score.mad == pytest.approx(float((synthetic.mean() - control.mean()) / control.std()))
    assert score.auc == pytest.approx(1 - score.u / (200 * 25))


def test_a_unit_that_is_mostly_dead_is_scored_with_ties_counted_half():
    control = torch.zeros(1000)
    control[:50] = 1.0
    assert cosy_score(control, torch.zeros(20)).auc == pytest.approx(0.475)


@pytest.mark.parametrize("size", [300, 6000])
@pytest.mark.parametrize("levels", [None, 3])
def test_intervals_are_those_of_a_bootstrap_image_by_image(size, levels):
    control, synthetic = activations(1, size, levels=levels), activations(2, 30, 1.0, levels)
    score = cosy_score(control, synthetic, resamples=4000)
    rng = np.random.default_rng(3)
    found = []
    for _ in range(600):
        a, b = (rng.choice(values.numpy(), len(values)) for values in (control, synthetic))
        above = (b[:, None] > a).mean() + (b[:, None] == a).mean() / 2
        found.append((above, (b.mean() - a.mean()) / a.std(ddof=1)))
    expected = np.quantile(np.array(found), [0.025, 0.975], axis=0)
    np.testing.assert_allclose(score.auc_interval, expected[:, 0], atol=0.015)
    np.testing.assert_allclose(score.mad_interval, expected[:, 1], atol=0.06)


def test_chance_is_a_half_and_a_clear_label_one():
    control = activations(0, 3000)
    by_chance = [cosy_score(control, activations(seed, 50), resamples=10) for seed in range(1, 51)]
    assert summarise_cosy(by_chance).auc == pytest.approx(0.5, abs=0.05)
    clear = cosy_score(control, activations(1, 50, 10.0))
    assert clear.auc == clear.auc_interval[0] == clear.auc_interval[1] == 1
    assert clear.p_value < 1e-20


@pytest.mark.parametrize(
    ("control", "synthetic"),
    [([2.0, 2.0, 2.0], [3.0]), ([1.0, math.nan, 2.0], [3.0]), ([1.0, 2.0], [math.inf])],
)
def test_dead_and_broken_units_are_not_scorable(control, synthetic):
    score = cosy_score(torch.tensor(control), torch.tensor(synthetic))
    assert not score.is_scorable
    assert all(math.isnan(value) for value in (score.auc, score.mad, score.u, *score.mad_interval))
    summary = summarise_cosy([score])
    assert (summary.neurons, summary.not_scorable) == (0, 1)
    assert math.isnan(summary.auc)


def test_the_order_of_images_and_the_precision_do_not_matter():
    control, synthetic = activations(0, 500, levels=8), activations(1, 20, 0.5, 8)
    score = cosy_score(control, synthetic)
    assert cosy_score(control.flip(0), synthetic.flip(0)).auc == score.auc
    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        assert cosy_score(control.to(dtype), synthetic.to(dtype)).auc == score.auc
    assert cosy_score(control, synthetic) == score
    state = np.random.get_state()[1].tolist()  # noqa: NPY002 - it is the user's that must stay
    cosy_score(control, synthetic, seed=7)
    assert np.random.get_state()[1].tolist() == state  # noqa: NPY002


def test_the_mean_over_neurons_has_an_interval_of_its_own():
    control = activations(0, 400)
    scores = [cosy_score(control, activations(seed, 30, seed / 10), resamples=10) for seed in range(1, 13)]
    summary = summarise_cosy(scores)
    assert summary.auc == pytest.approx(np.mean([score.auc for score in scores]))
    assert summary.auc_interval[0] < summary.auc < summary.auc_interval[1]
    assert math.isnan(summarise_cosy(scores[:1]).auc_interval[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"control": torch.zeros(1)}, "control"),
        ({"control": torch.zeros(2, 2)}, "control"),
        ({"synthetic": torch.zeros(0)}, "synthetic"),
        ({"confidence": 1.0}, "confidence"),
        ({"resamples": 0}, "resamples"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        cosy_score(**{"control": torch.arange(3.0), "synthetic": torch.ones(1), **arguments})
