import math

import pytest
import torch

from lightning_dissect.standardise import standardised_columns


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64])
def test_mean_zero_and_norm_one(dtype):
    values = torch.randint(-50, 50, (40, 3), generator=torch.Generator().manual_seed(0)).to(dtype)
    columns = standardised_columns(values)
    assert columns.dtype == torch.float64
    torch.testing.assert_close(columns.mean(dim=0), torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-15)
    torch.testing.assert_close(columns.square().sum(dim=0), torch.ones(3, dtype=torch.float64))


def test_products_are_pearson_correlations():
    values = torch.randn(40, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    columns = standardised_columns(values)
    torch.testing.assert_close(columns.T @ columns, torch.corrcoef(values.T))


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e30, -1e-30])
def test_constant_column_is_nan(constant):
    assert standardised_columns(torch.full((7, 1), constant, dtype=torch.float64)).isnan().all()


def test_rounding_is_not_spread():
    values = 1e9 + torch.tensor([[0.0], [1e-7], [0.0]], dtype=torch.float64)
    assert standardised_columns(values).isnan().all()


def test_small_spread_on_a_large_mean_is_kept():
    values = torch.tensor([[1e6], [1e6 + 1]], dtype=torch.float64)
    torch.testing.assert_close(
        standardised_columns(values).flatten(), torch.tensor([-1.0, 1.0], dtype=torch.float64) / math.sqrt(2)
    )


def test_non_finite_column_leaves_the_others_alone():
    values = torch.tensor([[1.0, math.nan, math.inf], [2.0, 1.0, 0.0]])
    columns = standardised_columns(values)
    assert columns.isnan().all(dim=0).tolist() == [False, True, True]
