import numpy as np
import pytest
import torch

from lightning_dissect.similarity.top_likelihood import LANES, TopLikelihood, multiply_factors


@pytest.fixture
def probability():
    return torch.rand(30, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def rows():
    return torch.randint(30, (4, 12), generator=torch.Generator().manual_seed(1))


def test_loop_multiplies_factors(probability, rows):
    slopes, offsets, product = np.linspace(1, 0.5, 12), np.linspace(0, 0.5, 12), np.full((4, 5), 2.0)
    multiply_factors(probability.numpy(), rows.numpy(), slopes, offsets, product)
    factors = offsets[:, None] + slopes[:, None] * probability.numpy()[rows.numpy()]
    np.testing.assert_allclose(product, 2 * factors.prod(axis=1), rtol=1e-13)


@pytest.mark.parametrize("epsilon", [1e-7, 1e-100, 1e-300])
def test_both_ways_agree_with_a_sum_of_logarithms(probability, rows, epsilon):
    pytest.importorskip("numba")
    membership = torch.linspace(1, 0.9, 12, dtype=torch.float64)
    likelihood = TopLikelihood(rows, membership, epsilon)
    factors = 1 - membership[:, None] + epsilon + membership[:, None] * probability[rows]
    torch.testing.assert_close(likelihood.by_torch(probability), factors.log().sum(dim=1))
    found, totals = likelihood.by_numba(probability.numpy())
    torch.testing.assert_close(torch.from_numpy(found), factors.log().sum(dim=1))
    torch.testing.assert_close(torch.from_numpy(totals), factors.log().sum(dim=1).logsumexp(dim=0))


@pytest.mark.parametrize("epsilon", [1e-7, 1e-20])
def test_factors_of_float32_are_multiplied_without_underflow(rows, epsilon):
    pytest.importorskip("numba")
    nothing = np.zeros((30, 5), dtype=np.float32)
    found, _ = TopLikelihood(rows, torch.ones(12), epsilon).by_numba(nothing)
    np.testing.assert_allclose(found, np.full((4, 5), 12 * np.log(epsilon)), rtol=1e-6)


@pytest.mark.parametrize("ranks", [1, 4, 7, 150])
def test_lanes_of_float32_agree_with_torch_for_any_number_of_ranks(ranks):
    """150 ranks are more than one safe run."""
    pytest.importorskip("numba")
    generator = torch.Generator().manual_seed(0)
    probability = torch.rand(30, LANES, generator=generator)
    likelihood = TopLikelihood(torch.randint(30, (4, ranks), generator=generator), torch.ones(ranks), epsilon=1e-7)
    expected = likelihood.by_torch(probability.to(torch.float64))
    found, totals = likelihood.by_numba(probability.numpy())
    torch.testing.assert_close(torch.from_numpy(found), expected, rtol=0, atol=2e-5)
    torch.testing.assert_close(torch.from_numpy(totals), expected.logsumexp(dim=0), rtol=0, atol=2e-5)
