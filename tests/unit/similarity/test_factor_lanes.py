import numpy as np
import pytest

from lightning_dissect.similarity.top_likelihood import LANES, multiply_factors

numba = pytest.importorskip("numba")

from lightning_dissect.similarity import factor_lanes  # noqa: E402


@pytest.fixture
def case():
    """Return probabilities of 30 images, rows of 5 neurons, slopes, offsets, and products that are not one."""
    generator = np.random.default_rng(0)
    probability = generator.random((30, LANES), dtype=np.float32)
    rows = generator.integers(30, size=(5, 12), dtype=np.uint32)
    slopes, offsets = np.linspace(1, 0.5, 12, dtype=np.float32), np.linspace(0, 0.5, 12, dtype=np.float32)
    return probability, rows, slopes, offsets, generator.random((5, LANES))


def test_machine_code_multiplies_factors(case):
    *inputs, product = case
    expected = product.copy()
    multiply_factors(*inputs, expected)
    numba.njit(factor_lanes.multiply_lanes)(*inputs, product)
    np.testing.assert_allclose(product, expected, rtol=2e-6)


def test_four_small_factors_do_not_underflow(case):
    probability, rows, slopes, offsets, product = case
    probability[:], offsets[:], product[:] = 0, 1e-9, 1
    numba.njit(factor_lanes.multiply_lanes)(probability, rows, slopes, offsets, product)
    np.testing.assert_allclose(product, 1e-108, rtol=1e-5)


def test_every_neuron_is_multiplied_once(case, monkeypatch):
    met = []
    monkeypatch.setattr(factor_lanes, "multiply_row", lambda _, rows, *__: met.append(rows))
    factor_lanes.multiply_lanes(*case)
    assert np.array_equal(met, case[1])
