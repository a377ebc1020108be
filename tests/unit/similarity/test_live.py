import math

import torch

from lightning_dissect.similarity import finite_neurons, live_neurons


def test_constant_and_non_finite_neurons_are_not_live():
    varying = torch.linspace(-1, 1, 5)
    columns = [varying, torch.zeros(5), torch.full((5,), 0.1), varying.where(varying != 0, math.nan)]
    columns += [varying.where(varying != 0, sign * math.inf) for sign in (1, -1)]
    activations = torch.stack(columns, dim=1)
    assert finite_neurons(activations).tolist() == [True, True, True, False, False, False]
    assert live_neurons(activations).tolist() == [True, False, False, False, False, False]


def test_rounding_of_the_forward_pass_is_not_life():
    step = torch.finfo(torch.float32).eps
    assert not live_neurons(torch.tensor([[100.0], [100.0 * (1 + 4 * step)]])).any()
    assert live_neurons(torch.tensor([[100.0], [100.001]])).all()


def test_scale_does_not_matter():
    assert live_neurons(torch.tensor([[0.0], [1e-30]], dtype=torch.float64)).all()


def test_half_precision_and_integers(dtype):
    assert live_neurons(torch.tensor([[0, 1], [1, 1]], dtype=dtype)).tolist() == [True, False]
    assert live_neurons(torch.tensor([[0, 1], [1, 1]])).tolist() == [True, False]
