import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_dissect.similarity import CrossProducts

DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]


def slow_sums(values, factors):
    a, r = values.double(), factors.double()
    centred, centred_factors = a - a.mean(dim=0), r - r.mean(dim=0)
    return centred.square().sum(dim=0), centred_factors.T @ centred


@settings(max_examples=25, deadline=None)
@given(data=st.data(), dtype=st.sampled_from(DTYPES), offset=st.sampled_from([0.0, -50.0, 1e3]))
def test_any_split_and_any_order_of_merging_give_the_same(data, dtype, offset):
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 1000)))
    spread = torch.randn(40, 5, generator=generator, dtype=torch.float64)
    values = (spread + offset * (dtype in {torch.float64, torch.float32})).to(dtype)
    factors = torch.randn(40, 3, generator=generator)
    owners = torch.tensor(data.draw(st.lists(st.integers(0, 3), min_size=40, max_size=40)))
    states = []
    for owner in data.draw(st.permutations(range(4))):
        mine = owners == owner
        state = CrossProducts(3, 5)
        for batch in zip(values[mine].split(7), factors[mine].split(7), strict=True):
            state.update(*batch)
        states.append(state)
    while len(states) > 1:
        first = states.pop(data.draw(st.integers(0, len(states) - 1)))
        states[0].merge_state(first)
    (merged,), (energies, products) = states, slow_sums(values, factors)
    scale = energies.sqrt() * slow_sums(factors, factors)[0].sqrt()[:, None]
    assert merged.count == 40
    torch.testing.assert_close(merged.energies / energies, torch.ones_like(energies), rtol=0, atol=1e-12)
    torch.testing.assert_close(merged.products / scale, products / scale, rtol=0, atol=1e-12)
    torch.testing.assert_close(merged.means, values.double().mean(dim=0), rtol=1e-12, atol=1e-12)


def test_raw_sums(activations, concept_matrix):
    for max_bytes in (1, 2**20):
        sums = CrossProducts.of(activations, concept_matrix, max_bytes)
        a, r = activations.double(), concept_matrix.double()
        torch.testing.assert_close(sums.raw_products(), r.T @ a, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(sums.raw_energies(), a.square().sum(dim=0), rtol=1e-12, atol=0)


def test_nothing_adds_nothing():
    sums = CrossProducts(2, 3)
    sums.update(torch.empty(0, 3), torch.empty(0, 2))
    sums.merge_state(CrossProducts(2, 3))
    assert sums.count == 0
    assert sums.products.eq(0).all()
