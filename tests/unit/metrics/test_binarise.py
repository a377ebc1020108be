import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_dissect.metrics import binarise, sparse_neurons
from tests.helpers.neuron_eval import active


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from([-2.0, -0.5, 0.0, 0.0, 0.0, 0.1, 3.0]), min_size=1, max_size=30),
    st.sampled_from([0.001, 0.05, 0.07, 0.1, 0.3, 0.5, 0.8]),
)
def test_equals_its_transcription(values, alpha):
    neuron = torch.tensor(values, dtype=torch.float64)
    assert binarise(neuron[:, None], alpha)[:, 0].tolist() == active(neuron.numpy(), alpha).tolist()


def test_ties_with_the_cutoff_are_active():
    neuron = torch.tensor([9.0, 7, 5, 5, 3, 2, 1, 0, 0, 0])[:, None]
    assert [binarise(neuron, alpha).sum().item() for alpha in (0.2, 0.3)] == [2, 4]
    assert not sparse_neurons(neuron, 0.3).any()


def test_the_number_of_active_images_is_exact():
    """In floating point 0.07 * 100 is 7.000000000000001, of which the ceiling is 8."""
    assert binarise(torch.arange(100.0)[:, None], 0.07).sum() == 7


@pytest.mark.parametrize("rest", [0.0, -0.17, 0.3])
def test_few_images_above_a_resting_value_are_all_that_is_active(rest):
    neuron = torch.full((1000, 1), rest)
    neuron[:5] = 1.0
    assert binarise(neuron, 0.05).nonzero()[:, 0].tolist() == list(range(5))
    assert sparse_neurons(neuron, 0.05).all()


def test_a_sparse_neuron_with_negative_values_is_active_above_zero():
    neuron = torch.zeros(1000, 2)
    neuron[:5] = -1.0
    neuron[5:8, 1] = 2.0
    assert binarise(neuron, 0.05).sum(dim=0).tolist() == [0, 3]


def test_a_saturated_neuron_keeps_its_ties():
    neuron = torch.full((1000, 1), 6.0)
    neuron[:30] = torch.arange(30.0)[:, None] / 10
    assert binarise(neuron, 0.05).sum() == 970
    assert not sparse_neurons(neuron, 0.05).any()


def test_constant_and_non_finite_neurons_are_active_nowhere():
    neurons = torch.stack([torch.zeros(50), torch.full((50,), 2.0), torch.arange(50.0).reciprocal()], dim=1)
    assert not binarise(neurons, 0.1).any()
    assert sparse_neurons(neurons, 0.1).all()


def test_binary_activations():
    assert binarise(torch.tensor([[True], [False]]), None).tolist() == [[True], [False]]
    with pytest.raises(ValueError, match="Give `alpha`"):
        binarise(torch.tensor([[2.0]]), None)


@pytest.mark.parametrize("alpha", [0, 1, 1.5, -1])
def test_alpha_is_a_share(alpha):
    for function in (binarise, sparse_neurons):
        with pytest.raises(ValueError, match="`alpha` to be between 0 and 1"):
            function(torch.zeros(3, 1), alpha)
