import math

import pytest
import torch

from lightning_dissect.labelling.candidate_quality import candidate_quality
from lightning_dissect.metrics import PearsonCorrelation
from lightning_dissect.presence import ConceptPresence


@pytest.fixture
def presence():
    return ConceptPresence(0.2 + 0.03 * torch.randn(60, 9, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("max_bytes", [1, 8 * 60 * 3, 2**24])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_equals_the_metric(presence, max_bytes, dtype):
    generator = torch.Generator().manual_seed(1)
    activations = torch.randn(60, 7, generator=generator).to(dtype)
    chosen = torch.randint(-1, 9, (7, 4), generator=generator)
    everything = PearsonCorrelation().score(activations, presence.columns(slice(None)))
    quality = candidate_quality(activations, presence, chosen, max_bytes)
    expected = everything.gather(1, chosen.clamp(min=0)).where(chosen >= 0, math.nan)
    assert torch.allclose(quality, expected, rtol=0, atol=1e-12, equal_nan=True)


def test_undefined_is_nan(presence):
    activations = torch.stack([torch.ones(60), torch.arange(60.0).index_fill(0, torch.tensor([3]), math.nan)], dim=1)
    assert candidate_quality(activations, presence, torch.tensor([[0, 1], [2, 3]]), 2**20).isnan().all()


def test_no_neuron(presence):
    assert candidate_quality(torch.empty(60, 0), presence, torch.empty(0, 5, dtype=torch.int64), 2**20).shape == (0, 5)


def test_large_offsets_do_not_cancel(presence):
    activations = torch.randn(60, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    chosen = torch.tensor([[0], [1], [2]])
    near = candidate_quality(activations, presence, chosen, 2**20)
    far = candidate_quality(activations + 1e6, presence, chosen, 2**20)
    assert torch.allclose(near, far, rtol=0, atol=1e-8)
