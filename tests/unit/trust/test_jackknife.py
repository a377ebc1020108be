import math

import numpy as np
import pytest
import torch

from lightning_dissect.standardise import standardised_columns
from lightning_dissect.trust import jackknife as module
from lightning_dissect.trust.jackknife import MOST_IN_FRONT, jackknife, jackknife_error, leaving_each_out


def draw(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rows_of(values):
    return standardised_columns(values).T.contiguous()


@pytest.mark.parametrize("power", [1, 12, 60])
def test_the_compiled_loop_does_what_torch_does(power, monkeypatch):
    rows, columns = rows_of(draw(300, 20).pow(power)), rows_of(draw(300, 7, seed=1).pow(power))
    rows[3] = math.nan
    columns[2] = math.nan
    columns[5] = rows[4]
    pairs = torch.randint(-1, 7, (20, 4), generator=torch.Generator().manual_seed(2))
    pairs[6] = -1
    compiled = jackknife(rows, columns, pairs)
    monkeypatch.setattr(module, "runs_compiled", lambda *tensors: False)
    for found, expected in zip(compiled, jackknife(rows, columns, pairs), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-10, equal_nan=True)


@pytest.mark.parametrize("power", [1, 60])
def test_the_loop_interpreted_does_what_torch_does(power, monkeypatch):
    pytest.importorskip("numba")
    rows, columns = rows_of(draw(50, 5).pow(power)), rows_of(draw(50, 4, seed=1).pow(power))
    pairs = torch.tensor([[0, 1], [2, -1], [-1, -1], [3, 0], [1, 2]])
    monkeypatch.setattr(module, "compiled", lambda loop, **settings: loop)
    with np.errstate(all="ignore"):
        interpreted = jackknife(rows, columns, pairs)
    monkeypatch.setattr(module, "runs_compiled", lambda *tensors: False)
    for found, expected in zip(interpreted, jackknife(rows, columns, pairs), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-10, equal_nan=True)


@pytest.mark.parametrize("runs_compiled", [True, False])
def test_covariances_of_the_leads_by_leaving_out_every_image_in_turn(runs_compiled, monkeypatch):
    if not runs_compiled:
        monkeypatch.setattr(module, "runs_compiled", lambda *tensors: False)
    values, pairs = draw(30, 11), torch.tensor([[4, 2, -1, 9, 7, 1, 3, 5, 6, 8]])
    found = jackknife(rows_of(values)[:1], rows_of(values), pairs)
    order = found.quality[0].nan_to_num(-2).argsort(descending=True, stable=True)[:MOST_IN_FRONT]
    assert found.front.tolist() == [order.tolist()]
    chosen = values[:, pairs[0, order]]
    left_out = []
    for image in range(30):
        rest = torch.arange(30) != image
        quality = torch.corrcoef(torch.cat([values[rest, :1], chosen[rest]], dim=1).T)[0, 1:]
        left_out.append(quality[0] - quality)
    spread = torch.cov(torch.stack(left_out).T) * 29**2 / 30
    torch.testing.assert_close(found.covariances[0], spread)
    torch.testing.assert_close(found.lead_errors[0, order], spread.diagonal().sqrt())


def test_jackknife_error_of_the_mean_is_the_textbook_one():
    values = draw(40)
    left_out = (values.sum() - values) / 39
    torch.testing.assert_close(jackknife_error(left_out), values.std() / math.sqrt(40))


def test_leaving_out_what_makes_a_column_constant_is_undefined():
    a = torch.tensor([2.0, -0.5, -0.5, -0.5, -0.5], dtype=torch.float64) / math.sqrt(5)
    left_out = leaving_each_out(a, a[None], torch.ones(1, dtype=torch.float64))
    assert left_out.flatten().isnan().tolist() == [True, False, False, False, False]
