import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_dissect.similarity.best_concepts import BestConcepts


def best_of(scores, count, width):
    best = BestConcepts(len(scores), count)
    for start in range(0, scores.shape[1], width):
        best.update(start, scores[:, start : start + width].clone())
    return best


def expected(scores, count):
    clean = scores.double().where(~scores.isnan(), -math.inf)
    order = clean.argsort(dim=1, descending=True, stable=True)[:, :count]
    values = clean.gather(1, order)
    return values, order.where(values > -math.inf, -1)


@settings(deadline=None)
@given(
    shape=st.tuples(st.integers(1, 6), st.integers(1, 300)),
    count=st.integers(1, 7),
    width=st.integers(1, 300),
    levels=st.integers(1, 50),
    seed=st.integers(0, 2**16),
)
def test_equals_a_stable_sort_whatever_the_blocks_and_ties(shape, count, width, levels, seed):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(-levels, levels + 1, shape, generator=generator).float()
    scores[scores == levels] = math.nan
    scores[scores == -levels] = -math.inf
    count = min(count, shape[1])
    best = best_of(scores, count, width)
    values, order = expected(scores, count)
    assert torch.equal(best.values, values)
    assert torch.equal(best.concepts, order)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_any_dtype(dtype):
    scores = torch.randn(5, 200, generator=torch.Generator().manual_seed(0)).to(dtype)
    best = best_of(scores, 4, 70)
    values, order = expected(scores, 4)
    assert torch.equal(best.values, values)
    assert torch.equal(best.concepts, order)


def test_no_neuron_and_no_concept():
    best = BestConcepts(0, 3)
    best.update(0, torch.empty(0, 9))
    best.update(9, torch.empty(0, 0))
    assert best.concepts.shape == (0, 3)
    untouched = BestConcepts(2, 3)
    untouched.update(0, torch.full((2, 70), math.nan))
    assert (untouched.concepts == -1).all()


def test_scores_are_only_read():
    scores = torch.randn(3, 100)
    scores[0, 5] = math.nan
    before = scores.clone()
    BestConcepts(3, 5).update(0, scores)
    assert torch.equal(scores.nan_to_num(), before.nan_to_num())
