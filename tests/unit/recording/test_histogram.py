import math

import numpy as np
import pytest
import torch

from lightning_dissect.recording import HistogramTable, activation_histograms


def draw(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("bins", [1, 2, 24])
def test_numpy_counts_the_same(dtype, bins):
    activations = draw(200, 30)
    activations[:, 10:20] = activations[:, 10:20].relu()
    activations[:, 20:] = (8 * activations[:, 20:]).round()
    activations = activations.to(dtype)
    for neuron, found in enumerate(activation_histograms(activations, bins).records()):
        values = activations[:, neuron].double().numpy()
        assert (found.low, found.high) == (values.min(), values.max())
        assert list(found.counts) == np.histogram(values, bins)[0].tolist()


def test_the_largest_and_the_smallest_numbers():
    widest = torch.finfo(torch.float32).max
    activations = torch.tensor([[-widest, 1e-45], [0.0, 0.0], [widest, 0.0], [1.0, 0.0]])
    wide, narrow = activation_histograms(activations, bins=4).records()
    assert wide.counts == (1, 0, 2, 1)
    assert narrow.counts == (3, 0, 0, 1)


def test_neurons_that_are_constant_or_not_finite():
    activations = draw(50, 6)
    activations[:, 1], activations[7, 2], activations[7, 3], activations[7, 4] = 3.0, math.nan, math.inf, -math.inf
    records = activation_histograms(activations).records()
    assert records[1].counts == (50,)
    assert (records[1].low, records[1].high) == (3.0, 3.0)
    assert records[2:5] == (None, None, None)
    assert sum(records[5].counts) == 50


def test_one_image_no_neuron_and_shares():
    assert activation_histograms(draw(1, 2)).records()[0].counts == (1,)
    activations = draw(60, 7)
    whole = activation_histograms(activations)
    shares = [activation_histograms(activations[:, part]) for part in (slice(0, 3), slice(3, 3), slice(3, 7))]
    assert HistogramTable.cat(shares).records() == whole.records()
    assert activation_histograms(activations, max_bytes=1).records() == whole.records()
    assert activation_histograms(activations[:, :0]).records() == ()


@pytest.mark.parametrize(
    ("activations", "options", "message"),
    [
        (torch.zeros(3), {}, r"Expected `activations` of shape \(images, neurons\)"),
        (torch.zeros(0, 3), {}, "at least one image but got shape"),
        (torch.zeros(3, 3), {"bins": 0}, "Expected `bins` to be greater than 0"),
        (torch.zeros(3, 3), {"max_bytes": 0}, "Expected `max_bytes` to be greater than 0"),
    ],
)
def test_faulty_input(activations, options, message):
    with pytest.raises(ValueError, match=message):
        activation_histograms(activations, **options)
