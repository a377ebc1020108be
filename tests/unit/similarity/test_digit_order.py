import numpy as np
import pytest

from lightning_dissect.similarity import digit_order
from lightning_dissect.similarity.digit_order import ascending_order, sort_digits


def numbers(dtype):
    """Return rows with and without ties, with zeros of both signs, infinities and numbers of every size."""
    generator = np.random.default_rng(0)
    values = generator.standard_normal((4, 300)).astype(dtype)
    values[1] = values[1].round()
    values[2] *= 10 ** generator.integers(-30, 30, 300).astype(dtype)
    values[3, :4] = np.inf, -np.inf, 0.0, -0.0
    return values


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("in_python", [True, False])
def test_equals_a_stable_argsort(monkeypatch, dtype, in_python):
    if in_python:
        monkeypatch.setattr(digit_order, "compiled", lambda loop: loop)
    else:
        pytest.importorskip("numba")
    values = numbers(dtype)
    assert np.array_equal(ascending_order(values), values.argsort(axis=1, kind="stable"))
    assert np.array_equal(ascending_order(values.T), values.T.argsort(axis=1, kind="stable"))


def test_nan_is_last():
    pytest.importorskip("numba")
    assert ascending_order(np.array([[np.nan, np.inf, 1.0]])).tolist() == [[2, 1, 0]]


@pytest.mark.parametrize("bits", [1, 5, 16])
def test_digits_of_any_size(bits):
    keys = np.array([[65535, 3, 0, 3, 513]], np.uint32)
    orders = np.empty(keys.shape, np.uint32)
    sort_digits(keys, bits, orders)
    assert orders.tolist() == [[2, 1, 3, 4, 0]]
