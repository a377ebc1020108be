"""The theoretical sanity checks against closed forms and published verdicts."""

from dataclasses import dataclass, replace

import pytest
import torch

from lightning_dissect.metrics import METRICS, MetricTraits, SpearmanCorrelation, theoretical_sanity_check
from lightning_dissect.metrics.sanity_published import PUBLISHED
from tests.helpers.closed_forms import CLOSED_FORMS, COIN_FLIPS, FALLS, RANDOM_TIES, TOLERANCES, TOP_AND_RANDOM

PASSING = {"f1", "iou", "correlation", "spearman", "cosine", "wpmi", "auprc", "combined_auc"}
PASSING |= {"combined_balanced_accuracy", "recall_inverse_auc", "precision_balanced_accuracy"}
TOP_AND_RANDOM_METRICS = ("correlation_top_and_random", "spearman_top_and_random")


@pytest.fixture(scope="module")
def small_table():
    return theoretical_sanity_check(images=10_000, frequencies=[0.499, 0.1, 0.02], draws=10)


@pytest.fixture(scope="module")
def published_table():
    return theoretical_sanity_check()


def check_change(result, expected, floor):
    assert result.change == pytest.approx(expected, abs=max(floor, 4 * result.change_error))


@pytest.mark.parametrize("name", sorted(set(CLOSED_FORMS) - {"mad", "wpmi"}))
def test_closed_forms(name, small_table):
    for labels, form in zip(("missing", "extra"), CLOSED_FORMS[name], strict=True):
        for result in small_table.of(name, labels, "theoretical"):
            check_change(result, form(result.frequency), 1e-4)
            assert result.undefined == 0
            assert result.cases == 10


@pytest.mark.parametrize("name", TOP_AND_RANDOM_METRICS)
def test_top_and_random_are_drawn_anew_for_every_draw_of_the_labels(name, small_table):
    missing, extra = (small_table.of(name, labels, "theoretical") for labels in TOP_AND_RANDOM)
    for result, change in ((missing[0], TOP_AND_RANDOM["missing"][0]), (missing[1], TOP_AND_RANDOM["missing"][1])):
        check_change(result, change, 0.005)
        assert result.change_error > 1e-3
    check_change(extra[1], TOP_AND_RANDOM["extra"][1], 0.005)


@pytest.mark.parametrize("name", TOP_AND_RANDOM_METRICS)
def test_a_concept_in_all_images_drawn_is_undefined_and_counted(name, small_table):
    extra = small_table.of(name, "extra", "theoretical")[0]
    assert extra.undefined >= 7
    assert extra.cases == 10 - extra.undefined
    assert small_table.verdict(name) == "fail"


def test_random_ties_shrink_spearman():
    table = theoretical_sanity_check(
        {"random": SpearmanCorrelation(ties="random")}, images=20_000, frequencies=[0.4, 0.1, 0.01], draws=40
    )
    for labels, form in zip(("missing", "extra"), RANDOM_TIES, strict=True):
        for result in table.of("random", labels, "theoretical"):
            check_change(result, form(result.frequency), 1e-3)
    assert table.published("random", "extra", "theoretical") is None
    assert table.note("random") == ""


@pytest.mark.parametrize("name", ["mad", "wpmi"])
def test_a_range_that_is_not_finite_is_that_of_all_scores(name):
    table = theoretical_sanity_check([name], images=50_000, frequencies=[0.3, 0.1], draws=3)
    missing, extra = (table.of(name, labels, "theoretical") for labels in ("missing", "extra"))
    for lost, wrong in zip(missing, extra, strict=True):
        ratio = CLOSED_FORMS[name][0](lost.frequency) / CLOSED_FORMS[name][1](lost.frequency)
        assert lost.change / wrong.change == pytest.approx(ratio, rel=0.03)
        assert all(-1 < result.change < 0 for result in (lost, wrong))


@dataclass(frozen=True)
class Agreement:
    """A metric of a user's own: no base class, no range, no way to score pairs alone."""

    def score(self, activations, concept_presence):
        return 3 * activations.T @ concept_presence / concept_presence.sum(dim=0)


@dataclass(frozen=True)
class Distance(MetricTraits):
    """Lower is better; it states its range and has an ``alpha`` and a ``seed`` that are its own."""

    higher_is_better = False
    passes_missing_labels = True
    passes_extra_labels = True
    alpha: float | None = 0.5
    seed: int = 0

    def score(self, activations, concept_presence):
        if self.alpha is not None:
            raise ValueError("activations are binary")
        return (activations.T[:, :, None] - concept_presence).abs().mean(dim=1) * (1 + self.seed) ** 0


def test_a_metric_of_ones_own():
    table = theoretical_sanity_check([Agreement(), "precision"], images=5000, frequencies=[0.1, 0.02], draws=5)
    assert table.metrics == ("Agreement", "precision")
    assert table.verdict("Agreement") == table.verdict("precision") == "fail"
    for labels in ("missing", "extra"):
        mine, known = (table.of(name, labels, "theoretical") for name in table.metrics)
        for left, right in zip(mine, known, strict=True):
            assert left.change == pytest.approx(1.11 * right.change, rel=0.02), "relative to the scores that occur"
            assert (left.share, left.published) == (right.share, None)


def test_a_metric_for_which_lower_is_better():
    table = theoretical_sanity_check([Distance()], images=2000, frequencies=[0.1], draws=5)
    assert table.verdict("Distance") == "pass"
    for labels, form in zip(("missing", "extra"), CLOSED_FORMS["accuracy"], strict=True):
        check_change(table.of("Distance", labels, "theoretical")[0], form(0.1), 1e-3)


def test_a_score_that_never_changes_never_falls():
    class Flat:
        def score(self, activations, concept_presence):
            return torch.ones(activations.shape[1], concept_presence.shape[1])

    class Nothing:
        def score(self, activations, concept_presence):
            return torch.full((activations.shape[1], concept_presence.shape[1]), torch.inf)

    table = theoretical_sanity_check([Flat(), Nothing()], images=100, frequencies=[0.1], draws=4)
    assert table.verdict("Flat") == "fail"
    assert table.verdict("Nothing") == "undecided"
    assert [result.undefined for result in table.of("Nothing", "missing", "theoretical")] == [4]


def test_seeds_reproduce_and_the_company_does_not_matter():
    options = {"images": 1000, "frequencies": [0.1, 0.05], "draws": 9}
    table = theoretical_sanity_check(["auc", "spearman_top_and_random"], **options)
    assert theoretical_sanity_check(["auc", "spearman_top_and_random"], **options) == table
    assert theoretical_sanity_check(["auc"], **options).results == table.results[:4]
    assert theoretical_sanity_check(["auc"], seed=1, **options).results != table.results[:4]


def test_options_reach_the_labels():
    table = theoretical_sanity_check(["iou"], images=20_000, frequencies=[0.2], draws=10, kept=0.75, growth=4 / 3)
    assert table.of("iou", "missing", "theoretical")[0].change == pytest.approx(-0.25, abs=0.01)
    assert table.of("iou", "extra", "theoretical")[0].change == pytest.approx(-0.25, abs=0.01)
    assert (
        theoretical_sanity_check(["iou"], images=999, frequencies=[0.2], draws=5, epsilon=0.9).verdict("iou") == "fail"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frequencies": [0.1, 1e-9]}, r"in some and not in all of 1000 `images` but got \[0.1, 1e-09\], that is in"),
        ({"frequencies": [1.0]}, "`frequencies` to be different shares"),
        ({"frequencies": [0.1, 0.1]}, "`frequencies` to be different shares"),
        ({"frequencies": []}, "`frequencies` to be different shares"),
        ({"draws": 0}, "`draws` to be greater than 0"),
        ({"epsilon": -0.1}, "`epsilon` to be 0 or more"),
        ({"kept": 1.0}, "`kept` to be between 0 and 1"),
        ({"growth": 1.0}, "`growth` to be finite and greater than 1"),
        ({"metrics": []}, "distinct names but got \\[\\]"),
        ({"metrics": [Agreement(), Agreement()]}, "distinct names but got .*Give a mapping"),
        ({"metrics": ["no such"]}, "Expected a metric or one of"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        theoretical_sanity_check(**{"metrics": ["iou"], "images": 1000, "frequencies": [0.1], **options})


def test_bad_metrics():
    class Wrong:
        def score(self, activations, concept_presence):
            return torch.zeros(3)

    with pytest.raises(TypeError, match="method `score` each but got object"):
        theoretical_sanity_check([object()], images=1000)
    with pytest.raises(ValueError, match=r"'Wrong' to have shape \(1, 5\) but got \(3,\)"):
        theoretical_sanity_check({"Wrong": replaced_range(Wrong())}, images=1000, frequencies=[0.1], draws=2)


def replaced_range(metric):
    metric.score_range = (0.0, 1.0)
    return metric


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(METRICS))
def test_the_published_table(name, published_table):
    """500,000 images, five frequencies: changes within the standard errors, and the shares that follow from them."""
    for place, labels in enumerate(("missing", "extra")):
        results = published_table.of(name, labels, "theoretical")
        assert [result.frequency for result in results] == list(TOLERANCES)
        for index, result in enumerate(results):
            if name in TOP_AND_RANDOM_METRICS and (labels, index) == ("extra", 0):
                assert result.undefined > 25, "the concept is in all images drawn"
            elif name in TOP_AND_RANDOM_METRICS:
                check_change(result, TOP_AND_RANDOM[labels][index], 0.005)
            else:
                tolerance = TOLERANCES[result.frequency]
                assert result.change == pytest.approx(CLOSED_FORMS[name][place](result.frequency), abs=tolerance)
        share, error = published_table.share(name, labels, "theoretical")
        coin = labels == "extra" and name in {*COIN_FLIPS, *TOP_AND_RANDOM_METRICS}
        assert share == pytest.approx(FALLS[labels][name], abs=max(4 * error, 0.02) if coin else 1e-12)


@pytest.mark.slow
def test_the_published_verdicts(published_table):
    assert set(published_table.passing()) == PASSING
    differing = {name for name in published_table.metrics if published_table.note(name)}
    assert differing == {"spearman", "inverse_auprc"}
    assert published_table.verdict("spearman") == "pass"
    assert published_table.verdict("inverse_auprc") == "undecided"
    assert {name for name, _, _ in PUBLISHED} == set(METRICS)
    csv = published_table.to_csv()
    assert replace(published_table).to_csv() == csv


def test_published_shares_belong_to_any_form_of_a_registered_metric():
    options = {"images": 200, "frequencies": [0.1], "draws": 2}
    forms = {"spearman": SpearmanCorrelation(ties="random"), "iou": SpearmanCorrelation(), "own": Agreement()}
    table = theoretical_sanity_check(forms, **options)
    published = [table.published(name, "missing", "theoretical") for name in forms]
    assert published == [0.672, None, None]


def test_metrics_that_users_register_come_last(monkeypatch):
    monkeypatch.setattr(METRICS, "_factories", {**METRICS._factories, "agreement": Agreement})
    table = theoretical_sanity_check(images=200, frequencies=[0.1, 0.2], draws=2)
    assert table.metrics[0] == "recall"
    assert table.metrics[-1] == "agreement"
    assert len(table.metrics) == 25
