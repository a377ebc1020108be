import numpy as np

from lightning_dissect.history.directions import unit_vectors


def test_directions_have_norm_one_or_are_unknown():
    known = {"a": np.array([3, 4], np.float16), "zero": np.zeros(2), "flat": np.ones(3)}
    found = unit_vectors(["a", "missing", "zero", "flat"], known)
    np.testing.assert_allclose(found[0], [0.6, 0.8])
    assert np.isnan(found[1:]).all()


def test_without_any_vector_all_are_unknown():
    assert np.isnan(unit_vectors(["a", "b"], {})).all()
    assert unit_vectors([], {}).shape[0] == 0
