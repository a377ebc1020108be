import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from lightning_dissect.metrics import average_precision as module
from lightning_dissect.metrics.average_precision import (
    add_listed,
    add_masked,
    average_precision,
    order_by_place,
    own_average_precision,
)
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


def test_the_loops_mean_the_same_before_they_are_compiled():
    places = np.array([3, 3, 1, 4])
    order, taken = np.zeros(4, dtype=np.int64), np.zeros(5, dtype=np.int64)
    order_by_place(places, order, taken)
    assert (order[0], {*order[1:3]}, order[3]) == (2, {0, 1}, 3)
    truths = np.array([[1, 0], [0, 1], [1, 1], [0, 1]], dtype=np.uint8)
    offsets, members = np.array([0, 1, 2, 4, 5]), np.array([0, 1, 0, 1, 1])
    for add, form in ((add_masked, (truths,)), (add_listed, (offsets, members))):
        counts = np.zeros((2, 2))
        add(*form, order, places, counts)
        np.testing.assert_allclose(counts, [[2, 3], [1 + 2 / 3, 1 + 2 / 3 + 3 / 4]])
