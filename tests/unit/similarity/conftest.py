"""A probe with CLIP-like similarities and neurons that follow some of its concepts."""

import pytest
import torch


@pytest.fixture
def concept_matrix() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return 0.2 + 0.03 * torch.randn(120, 11, generator=generator)


@pytest.fixture
def activations(concept_matrix) -> torch.Tensor:
    """Neuron ``k`` follows concept ``k``."""
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(120, 7, generator=generator)
    return 100 * (concept_matrix[:, :7] - 0.2) + noise


@pytest.fixture(params=[torch.float64, torch.float32, torch.float16, torch.bfloat16], ids=str)
def dtype(request) -> torch.dtype:
    return request.param
