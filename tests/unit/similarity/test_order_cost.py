import numpy as np
import pytest
import torch

from lightning_dissect.similarity.order_cost import order_cost_by_torch, order_costs, shared_ranks


def test_tied_images_share_the_lowest_rank():
    similarities = np.array([[0.3, 0.1, 0.3, 0.2], [0.5, 0.5, 0.5, 0.5]])
    ranks = np.empty((2, 4), np.uint32)
    shared_ranks(similarities, similarities.argsort(axis=1), ranks)
    assert ranks.tolist() == [[2, 0, 2, 1], [0, 0, 0, 0]]


@pytest.mark.parametrize("power", [3.0, 1.5])
def test_loop_costs_what_sorting_does(power):
    generator = torch.Generator().manual_seed(0)
    similarities = torch.randn(130, 3, generator=generator)
    similarities[:, 1], similarities[:, 2] = similarities[:, 1].round(), 0.5
    values, rows = torch.randn(130, 4, generator=generator).T.topk(9, dim=1)
    concepts = np.ascontiguousarray(similarities.numpy().T)
    ranks, cost = np.empty(concepts.shape, np.uint32), np.empty((3, 4))
    shared_ranks(concepts, concepts.argsort(axis=1), ranks)
    with np.errstate(over="ignore"):
        order_costs(ranks, rows.numpy().astype(np.uint16), values.numpy(), power, cost)
    for max_bytes in (1, 2**20):
        expected = order_cost_by_torch(values, rows, similarities, power, max_bytes)
        torch.testing.assert_close(torch.from_numpy(cost).T, expected, rtol=1e-9, atol=1e-12)
