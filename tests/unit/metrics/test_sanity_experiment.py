"""The experimental sanity checks on planted neurons whose function is known."""

import math

import pytest
import torch

from lightning_dissect.metrics import METRICS, PearsonCorrelation, experimental_sanity_check
from lightning_dissect.metrics.sanity_published import PUBLISHED


@pytest.fixture(scope="module")
def planted():
    """Neurons that are their concept and some noise: 800 images, 40 concepts of frequency 2 % to 20 %."""
    generator = torch.Generator().manual_seed(0)
    frequencies = torch.logspace(math.log10(0.02), math.log10(0.2), 40)
    labels = (torch.rand(800, 40, generator=generator) < frequencies).float()
    return labels + 0.3 * torch.randn(800, 40, generator=generator), labels


@pytest.fixture(scope="module")
def table(planted):
    return experimental_sanity_check(*planted, draws=2)


def test_what_reads_all_of_a_neuron_passes(table):
    assert {"correlation", "cosine"} <= set(table.passing())
    assert table.checks == (("missing", "experimental"), ("extra", "experimental"))


@pytest.mark.parametrize("name", ["recall", "precision", "accuracy", "mad"])
def test_what_is_blind_to_one_of_the_two_fails(name, table):
    assert table.verdict(name) == "fail"
    assert table.published_verdict(name) == "fail"
    assert table.note(name) == ""


def test_every_neuron_counts_once(table):
    assert table.metrics == tuple(dict.fromkeys(name for name, _, _ in PUBLISHED))
    assert set(table.metrics) == set(METRICS)
    assert all(result.cases == 40 for result in table.results if result.metric == "correlation")
    assert all(result.frequency is None for result in table.results)
    assert table.of("combined_auc", "missing", "experimental")[0].published is None
    assert table.published_verdict("combined_auc") is None


class CorrelationOfPairs:
    """A user's own metric that scores neither pairs nor blocks of them, only everything with everything."""

    score_range = (-1.0, 1.0)

    def score(self, activations, concept_presence):
        return torch.corrcoef(torch.cat([activations, concept_presence], dim=1).T)[
            : activations.shape[1], activations.shape[1] :
        ]


class Scaled:
    def score(self, activations, concept_presence):
        return 10 * PearsonCorrelation().score(activations, concept_presence)


def test_a_metric_of_ones_own(planted):
    table = experimental_sanity_check(*planted, ["correlation", CorrelationOfPairs()])
    known, mine = table.results[:2], table.results[2:]
    assert [result.metric for result in mine] == ["CorrelationOfPairs"] * 2
    for left, right in zip(known, mine, strict=True):
        assert (left.share, left.cases) == (right.share, right.cases)
        assert left.change == pytest.approx(right.change, abs=1e-5)


def test_a_range_that_is_not_stated_comes_from_all_scores(planted):
    activations, labels = planted
    changes = experimental_sanity_check(
        activations, labels, {"scaled": Scaled(), "plain": PearsonCorrelation()}
    ).results
    whole = PearsonCorrelation().score(activations, labels)
    width = float(whole.amax() - whole.amin())
    assert changes[0].change * width / 2 == pytest.approx(changes[2].change, rel=0.1)


def test_the_numbers_of_draws_and_images_by_hand():
    labels = torch.tensor([[1.0, 1.0], [0.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    table = experimental_sanity_check(labels, labels, {"own": METRICS.resolve("precision")}, draws=40)
    missing = table.of("own", "missing", "experimental")[0]
    assert missing.share == 0
    assert 0 < missing.undefined < 40
    assert missing.cases == 2


def test_annotations_of_any_dtype(planted):
    activations, labels = planted
    table = experimental_sanity_check(activations, labels, ["iou"])
    assert experimental_sanity_check(activations, labels > 0, ["iou"]) == table
    assert experimental_sanity_check(activations, labels.long(), ["iou"]) == table


def test_seeds_reproduce(planted):
    names = ["iou", "correlation_top_and_random"]
    first = experimental_sanity_check(*planted, names, draws=2, seed=3)
    assert experimental_sanity_check(*planted, names, draws=2, seed=3) == first
    assert experimental_sanity_check(*planted, names[:1], draws=2, seed=3).results == first.results[:2]
    assert experimental_sanity_check(*planted, names, draws=2, seed=4) != first


def test_bad_inputs(planted):
    activations, labels = planted
    with pytest.raises(ValueError, match="one column per neuron, that of its right concept"):
        experimental_sanity_check(activations, labels[:, :9])
    with pytest.raises(ValueError, match="same number of images"):
        experimental_sanity_check(activations[:9], labels)
    with pytest.raises(ValueError, match="`draws` to be greater than 0"):
        experimental_sanity_check(activations, labels, draws=0)
