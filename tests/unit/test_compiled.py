import pytest
import torch

from lightning_dissect import compiled
from lightning_dissect.compiled import runs_compiled


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
