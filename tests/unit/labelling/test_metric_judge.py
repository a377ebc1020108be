import math
from dataclasses import replace

import pytest
import torch

from lightning_dissect.concept_matrix import ConceptMatrix
from lightning_dissect.labelling import CLIPDissect, LabelTable, MetricJudge
from lightning_dissect.metrics import METRICS, Recall
from lightning_dissect.metrics.undefined import REASONS
from lightning_dissect.presence import ConceptPresence, GivenPresence
from lightning_dissect.recording import top_images
from tests.helpers.processes import one_thread

CONCEPTS = [f"concept {index}" for index in range(90)]


class Own:
    """A metric of one's own with a score for all pairs only, and lower is better."""

    higher_is_better = False

    def __init__(self):
        self.calls = []

    def score(self, activations, concept_presence):
        self.calls.append(activations.shape[1])
        return torch.cdist(activations.double().T, concept_presence.T)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def matrix(generator):
    images = torch.nn.functional.normalize(torch.randn(70, 24, generator=generator), dim=1)
    images[40:60] = images[10:30]
    texts = torch.nn.functional.normalize(torch.randn(90, 24, generator=generator), dim=1)
    return ConceptMatrix(images, texts)


@pytest.fixture
def activations(matrix, generator):
    found = (4 * matrix.columns(slice(0, 75)) + 0.2 * torch.randn(70, 75, generator=generator)).relu()
    found[:, 3] = 1
    found[5, 7] = math.nan
    return found


def labelled(activations, matrix):
    presence = ConceptPresence(matrix)
    top = top_images(activations, torch.arange(len(activations)), 2)
    return CLIPDissect().prepared(matrix, presence).table(activations, *top), presence


def same(one, other):
    return torch.equal(one.nan_to_num(-9), other.nan_to_num(-9))


def test_each_label_is_judged_by_every_metric(activations, matrix):
    table, presence = labelled(activations, matrix)
    judge = MetricJudge([*METRICS, own := Own()])
    layer = judge.layer("fc", judge.judged(table, activations, presence), CONCEPTS)
    whole = presence.columns(slice(None))
    alive = [unit for unit in range(75) if unit not in (3, 7)]
    scores = {name: METRICS.resolve(name).score(activations[:, alive], whole) for name in METRICS}
    scores["own"] = torch.cdist(activations[:, alive].double().T, whole.T)
    for row, unit in enumerate(alive):
        neuron = layer.neurons[unit]
        expected = {name: found[row, CONCEPTS.index(neuron.label)].item() for name, found in scores.items()}
        assert neuron.metrics == pytest.approx(expected, abs=1e-12, nan_ok=True)
        assert neuron.metrics["correlation"] == pytest.approx(neuron.quality, abs=1e-12)
    assert sum(own.calls) == len(alive)
    assert max(own.calls) <= 32


def test_without_a_label_there_is_nothing_to_judge(activations, matrix):
    table, presence = labelled(activations, matrix)
    judge = MetricJudge(["auprc"])
    layer = judge.layer("fc", judge.judged(table, activations, presence), CONCEPTS)
    assert [neuron.unit for neuron in layer.neurons if math.isnan(neuron.metrics["auprc"])] == [3, 7]
    assert layer.undefined == {}


def test_without_metrics_the_table_stays(activations, matrix):
    table, presence = labelled(activations, matrix)
    judge = MetricJudge()
    assert judge.judged(table, activations, presence).metrics.shape == (75, 0)
    assert judge.layer("fc", table, CONCEPTS).neurons == table.records("fc", CONCEPTS)


@pytest.mark.parametrize("max_bytes", [1, 2**12, 2**26])
@pytest.mark.parametrize("processes", [2, 5])
def test_shares_and_small_budgets_change_no_bit(activations, matrix, processes, max_bytes):
    table, presence = labelled(activations, matrix)
    with one_thread():
        judge = MetricJudge(list(METRICS), max_bytes)
        expected = judge.judged(table, activations, presence)
        parts = []
        for units in torch.arange(75).tensor_split(processes):
            part = replace(table, **{name: value[units] for name, value in vars(table).items()})
            parts.append(judge.judged(part, activations[:, units], presence))
        joined = LabelTable.cat(parts)
    assert same(joined.metrics, expected.metrics)
    assert torch.equal(joined.undefined, expected.undefined)


def test_undefined_scores_are_counted_by_reason(activations, matrix):
    table, _ = labelled(activations, matrix)
    concepts = table.concepts[table.concepts[:, 0] >= 0, 0]
    given = torch.rand(70, 90, generator=torch.Generator().manual_seed(1)).mul(0.9).sub(0.2).clamp(0, 1)
    given[:, concepts[0]], given[:, concepts[1]] = 0.3 * given[:, concepts[0]], 0
    judge = MetricJudge(["inverse_auc", "recall"])
    found = judge.judged(table, activations, GivenPresence(given))
    layer = judge.layer("fc", found, CONCEPTS)
    rare, absent = ((table.concepts[:, 0] == concept).sum().item() for concept in concepts[:2])
    assert layer.undefined == {
        "inverse_auc": {REASONS[5]: rare, REASONS[4]: absent},
    }
    lost = [neuron for neuron in layer.neurons if neuron.candidates and math.isnan(neuron.metrics["inverse_auc"])]
    assert len(lost) == rare + absent


def test_silent_neurons_are_explained_by_the_metric_s_own_alpha(matrix):
    activations = torch.zeros(70, 1)
    activations[:3] = -1
    table, presence = labelled(activations, matrix)
    judge = MetricJudge([Recall(alpha=0.1)])
    layer = judge.layer("fc", judge.judged(table, activations, presence), CONCEPTS)
    assert layer.undefined == {"recall": {"no image activates the neuron": 1}}


def test_a_metric_of_one_s_own_must_return_one_score_per_pair(activations, matrix):
    table, presence = labelled(activations, matrix)

    class Short:
        def score(self, activations, concept_presence):
            return torch.zeros(1, 1)

    with pytest.raises(ValueError, match="scores of the metric 'short' to have shape"):
        MetricJudge([Short()]).judged(table, activations, presence)


def test_the_budget_must_be_positive():
    with pytest.raises(ValueError, match="`max_bytes`"):
        MetricJudge(max_bytes=0)
