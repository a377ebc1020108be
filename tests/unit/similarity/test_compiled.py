import pytest
import torch

from lightning_dissect.similarity import WPMI, SoftWPMI, compiled
from lightning_dissect.similarity.mutual_information import runs_compiled


def without_numba(monkeypatch):
    monkeypatch.setattr(compiled.importlib.util, "find_spec", lambda name: None)


def double(values):
    for index in range(len(values)):
        values[index] *= 2


def test_runs_compiled_asks_for_numba(monkeypatch):
    pytest.importorskip("numba")
    assert runs_compiled(torch.zeros(2))
    assert not runs_compiled(torch.zeros(2, dtype=torch.bfloat16))
    without_numba(monkeypatch)
    assert not runs_compiled(torch.zeros(2))


@pytest.mark.parametrize("similarity", [SoftWPMI(), WPMI(), SoftWPMI(top_k=100, scale=400.0, epsilon=1e-30)])
def test_scores_are_those_of_torch(similarity, activations, concept_matrix, monkeypatch):
    pytest.importorskip("numba")
    fast = similarity.score(activations, concept_matrix)
    without_numba(monkeypatch)
    torch.testing.assert_close(fast, similarity.score(activations, concept_matrix), rtol=0, atol=1e-5)


def test_machine_code_that_cannot_be_kept_is_made_anew(monkeypatch):
    numba = pytest.importorskip("numba")
    njit = numba.njit

    def without_folder(*args, cache=False, **settings):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(*args, **settings)

    monkeypatch.setattr(numba, "njit", without_folder)
    values = torch.tensor([1.0, 2.0])
    compiled.compiled.__wrapped__(double)(values.numpy())
    assert values.tolist() == [2.0, 4.0]
