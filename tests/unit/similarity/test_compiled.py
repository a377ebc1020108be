import pytest
import torch

from lightning_dissect import compiled
from lightning_dissect.similarity import WPMI, SoftWPMI


@pytest.mark.parametrize("similarity", [SoftWPMI(), WPMI(), SoftWPMI(top_k=100, scale=400.0, epsilon=1e-30)])
def test_scores_are_those_of_torch(similarity, activations, concept_matrix, monkeypatch):
    pytest.importorskip("numba")
    fast = similarity.score(activations, concept_matrix)
    monkeypatch.setattr(compiled.importlib.util, "find_spec", lambda name: None)
    torch.testing.assert_close(fast, similarity.score(activations, concept_matrix), rtol=0, atol=1e-5)
