import pytest
import torch

from lightning_dissect.similarity.inner_product import add_products, column_norms


@pytest.mark.parametrize("max_bytes", [1, 5000, 2**20])
def test_sums_are_those_of_float64_copies(activations, concept_matrix, dtype, max_bytes):
    a, p = activations.to(dtype), concept_matrix.to(dtype)
    sums = torch.ones(7, 11, dtype=torch.float64)
    add_products(a, p, sums, max_bytes)
    torch.testing.assert_close(sums, 1 + a.double().T @ p.double())
    torch.testing.assert_close(column_norms(a, max_bytes), a.double().norm(dim=0))
    assert column_norms(a[:, :0], max_bytes).shape == (0,)
