import pytest
import torch
from sklearn.metrics import average_precision_score

from lightning_dissect.metrics import average_precision as module
from lightning_dissect.metrics.average_precision import add_precisions, average_precision, own_average_precision
from lightning_dissect.metrics.ranks import counts_above


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("levels", [3, 1000])
def test_equals_scikit_learn_for_rare_and_frequent_truths(levels, compiled, monkeypatch):
    if not compiled:
        monkeypatch.setattr(module, "runs_compiled", lambda *tensors: False)
    generator = torch.Generator().manual_seed(0)
    truths = torch.rand(6, 200, generator=generator) < torch.tensor([0.01, 0.05, 0.2, 0.5, 0.9, 1.0])[:, None]
    scores = (torch.rand(20, 200, generator=generator) * levels).round()
    expected = [[average_precision_score(truth.numpy(), score.numpy()) for score in scores] for truth in truths]
    found = average_precision(truths, counts_above(scores))
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))
    torch.testing.assert_close(own_average_precision(truths, counts_above(scores[:6])), found[:, :6].diagonal())


@pytest.mark.parametrize("compiled", [True, False])
def test_a_truth_that_holds_nowhere_is_undefined(compiled, monkeypatch):
    if not compiled:
        monkeypatch.setattr(module, "runs_compiled", lambda *tensors: False)
    truths = torch.tensor([[False, False], [True, False]])
    places = torch.tensor([[1, 2]], dtype=torch.int32)
    assert average_precision(truths, places).isnan()[:, 0].tolist() == [True, False]


def test_the_loop_means_the_same_before_it_is_compiled():
    order, places = torch.tensor([2, 0, 1]).numpy(), torch.tensor([1, 3, 3]).numpy()
    counts = torch.zeros(2, 2, dtype=torch.float64)
    add_precisions(
        order, places, torch.tensor([0, 2, 3, 4]).numpy(), torch.tensor([0, 1, 0, 1]).numpy(), counts.numpy()
    )
    assert counts.tolist() == [[2, 2], [2 * 2 / 3, 1 + 2 / 3]]
