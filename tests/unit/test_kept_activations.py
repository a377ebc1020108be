import numpy as np
import pytest

from lightning_dissect import kept_activations
from lightning_dissect.kept_activations import KeptActivations


def test_what_is_read_is_what_was_written():
    layers = {"body/../conv.1": np.eye(3, dtype=np.float16), "": np.zeros((3, 0), np.float16)}
    kept = KeptActivations(np.array([2, 5, 1 << 62]), layers)
    read = KeptActivations.read(kept.to_bytes())
    assert read.sample_ids.tolist() == [2, 5, 1 << 62]
    assert list(read.layers) == list(layers)
    for layer, values in layers.items():
        np.testing.assert_array_equal(read.layers[layer], values)
        assert read.layers[layer].dtype == np.float16


def test_another_schema_is_refused(monkeypatch):
    content = KeptActivations(np.array([0]), {}).to_bytes()
    monkeypatch.setattr(kept_activations, "_SCHEMA", 2)
    with pytest.raises(ValueError, match="Expected activations of schema 2 but got schema 1"):
        KeptActivations.read(content)
