import torch

from lightning_dissect.similarity.inner_product import inner_products


def test_products_of_prepared_columns(activations, concept_matrix):
    a, p = activations.double(), concept_matrix.double()
    for max_bytes in (1, 2**20):
        products = inner_products(activations, concept_matrix, torch.square, max_bytes)
        torch.testing.assert_close(products, a.square().T @ p.square())
