"""Meta-AUPRC against scikit-learn and a transcription of the choice of hyper-parameters."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from lightning_dissect.metrics import METRICS, MetricTraits, compare_metrics, meta_auprc
from lightning_dissect.metrics.meta_auprc import ALPHAS, LAMS

CASES = {
    "perfect": ([[2.0, 1.0], [0.0, 3.0]], [0, 1]),
    "worst": ([[0.0, 1.0], [3.0, 0.5]], [0, 1]),
    "tied": ([[1.0, 1.0, 0.0], [1.0, 0.5, 0.0]], [0, 1]),
    "all tied": ([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]], [0, 2]),
    "same concept": ([[0.9, 0.3, 0.2], [0.8, 0.85, 0.1], [0.7, 0.1, -4.0]], [0, 0, 0]),
    "negative": ([[-0.9, -0.3], [-0.8, -0.85]], [1, 0]),
}


def transcribed(scores, own):
    scores = np.asarray(scores, dtype=float)
    truth = np.zeros(scores.shape, dtype=bool)
    truth[np.arange(len(scores)), np.asarray(own)] = True
    lowest = np.nanmin(scores) - 1 if np.isfinite(scores).any() else 0
    return average_precision_score(truth.ravel(), np.where(np.isnan(scores), lowest, scores).ravel())


@pytest.mark.parametrize("case", CASES)
def test_hand_made_cases_equal_scikit_learn(case):
    scores, own = CASES[case]
    assert meta_auprc(torch.tensor(scores), torch.tensor(own)) == pytest.approx(transcribed(scores, own), abs=1e-12)


@pytest.mark.parametrize("undefined", [0.0, 0.3, 1.0])
def test_undefined_scores_come_last(undefined):
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(30, 20, generator=generator).double().round(decimals=1)
    scores[torch.rand(30, 20, generator=generator) < undefined] = torch.nan
    own = torch.randint(20, (30,), generator=generator)
    assert meta_auprc(scores, own) == pytest.approx(transcribed(scores.numpy(), own.numpy()), abs=1e-12)


def test_f1_and_iou_are_worth_the_same(planted):
    activations, presence, own = planted
    f1, iou = (METRICS.resolve(name) for name in ("f1", "iou"))
    assert meta_auprc(f1.score(activations, presence), own) == meta_auprc(iou.score(activations, presence), own)


@pytest.fixture(scope="module")
def planted():
    generator = torch.Generator().manual_seed(0)
    presence = torch.rand(400, 45, generator=generator) ** 8
    own = torch.randperm(45, generator=generator)[:40]
    return presence[:, own] + 0.4 * torch.randn(400, 40, generator=generator), presence, own


def best_by_hand(name, planted, grid, seed, share=0.05):
    activations, presence, own = planted
    order = torch.randperm(40, generator=torch.Generator().manual_seed(seed))
    validating, testing = order[: int(share * 40)], order[int(share * 40) :]
    best = (-1.0, None, None)
    for settings in grid:
        scores = replace(METRICS.resolve(name), **settings).score(activations, presence)
        value = transcribed(scores[validating].numpy(), own[validating].numpy())
        if value > best[0] + 1e-12:
            best = (value, settings, transcribed(scores[testing].numpy(), own[testing].numpy()))
    return best


@pytest.mark.parametrize(
    ("name", "grid"),
    [
        ("auprc", [{"alpha": alpha} for alpha in ALPHAS]),
        ("wpmi", [{"alpha": alpha, "lam": lam} for alpha in (0.01, 0.1) for lam in (0.0, 0.5, 1.0)]),
        ("correlation", [{}]),
    ],
)
def test_the_choice_equals_its_transcription(name, grid, planted):
    alphas = list(dict.fromkeys(settings["alpha"] for settings in grid if settings))
    lams = list(dict.fromkeys(settings["lam"] for settings in grid if "lam" in settings))
    table = compare_metrics(*planted, [name], splits=3, seed=5, alphas=alphas, lams=lams)
    assert len(table[name].choices) == 3
    for split, choice in enumerate(table[name].choices):
        value, settings, test = best_by_hand(name, planted, grid, 5 + split)
        assert dict(choice.settings) == settings
        assert (choice.validation, choice.test) == pytest.approx((value, test), abs=1e-12)


def test_published_grids():
    assert len(ALPHAS) == 12
    assert len(LAMS) == 101
    assert LAMS[35] == 0.35


def test_correlations_on_top_and_random_images_keep_their_alpha(planted):
    table = compare_metrics(*planted, ["correlation_top_and_random", "spearman"], splits=1)
    assert [result.choices[0].settings for result in table.results] == [(), ()]
    assert math.isnan(table["spearman"].spread)
    assert "±" not in table.to_markdown()


@dataclass(frozen=True)
class Dot(MetricTraits):
    passes_missing_labels = False
    passes_extra_labels = False
    alpha: float = 0.1

    def score(self, activations, concept_presence):
        return (activations > self.alpha).float().T @ concept_presence


class Plain:
    def score(self, activations, concept_presence):
        return activations.T @ concept_presence


def test_metrics_of_ones_own(planted):
    table = compare_metrics(*planted, [Dot(), Plain()], splits=2)
    assert {name for name, _ in table["Dot"].choices[0].settings} == {"alpha"}
    assert table["Plain"].choices[0].settings == ()
    assert sum(table["Dot"].chosen.values()) == 2


def test_the_table_is_sorted_and_shows_other_choices(planted):
    table = compare_metrics(*planted, ["recall", "correlation", "auprc"], splits=8)
    rows = table.to_markdown().splitlines()[2:]
    values = [float(row.split("|")[2]) for row in rows]
    assert values == sorted(values, reverse=True)
    unstable = max(table.results, key=lambda result: len(result.chosen))
    assert len(unstable.chosen) > 1
    row = next(row for row in rows if f"`{unstable.metric}`" in row)
    assert row.split("|")[-2].count("(") == len(unstable.chosen) - 1
    tests = [choice.test for choice in unstable.choices]
    assert unstable.mean == pytest.approx(np.mean(tests))
    assert unstable.spread == pytest.approx(np.std(tests, ddof=1))


def test_seeds_reproduce(planted):
    table = compare_metrics(*planted, ["auprc", "spearman_top_and_random"], splits=3)
    assert compare_metrics(*planted, ["auprc", "spearman_top_and_random"], splits=3) == table
    assert compare_metrics(*planted, ["auprc"], splits=1, seed=2)["auprc"].choices[0] == table["auprc"].choices[2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"own_concepts": torch.arange(39)}, "one index per neuron, shape \\(40,\\)"),
        ({"own_concepts": torch.ones(40)}, "one index per neuron"),
        ({"own_concepts": torch.full((40,), 45)}, "indices of 45 concepts but got values from 45 to 45"),
        ({"own_concepts": torch.full((40,), -1)}, "indices of 45 concepts"),
        ({"splits": 0}, "`splits` to be greater than 0"),
        ({"validation_share": 0.0}, "`validation_share` to be between 0 and 1"),
        ({"validation_share": 1.0}, "`validation_share` to be between 0 and 1"),
    ],
)
def test_bad_options(change, message, planted):
    activations, presence, own = planted
    options = {"own_concepts": own, "metrics": ["iou"], **change}
    with pytest.raises(ValueError, match=message):
        compare_metrics(activations, presence, **options)


def test_bad_shapes(planted):
    activations, presence, own = planted
    with pytest.raises(ValueError, match="at least 2 neurons"):
        compare_metrics(activations[:, :1], presence, own[:1], ["iou"])
    with pytest.raises(ValueError, match="`scores` to be a non-empty 2-D tensor"):
        meta_auprc(torch.zeros(3), torch.zeros(3).long())
