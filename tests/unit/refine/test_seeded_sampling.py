import pytest
import torch
from scipy.stats import chisquare

from lightning_dissect.refine.seeded_sampling import SeededSampling

SCORES = torch.tensor([[0.3, 2.0, -torch.inf, 1.0, 1.0, -1.0]])
IDS = torch.empty(1, 0, dtype=torch.long)


def slow_nucleus(temperature, top_p):
    """Probabilities as the paper on nucleus sampling describes them."""
    probabilities = (SCORES[0].double() / temperature).softmax(0).tolist()
    kept, mass = [], 0.0
    for token in sorted(range(len(probabilities)), key=lambda token: -probabilities[token]):
        if mass >= top_p:
            break
        kept.append(token)
        mass += probabilities[token]
    return {token: probabilities[token] / mass for token in kept if probabilities[token]}


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("top_p", [1e-6, 0.6, 0.9, 1.0])
def test_draws_follow_the_probabilities(temperature, top_p):
    expected = slow_nucleus(temperature, top_p)
    draw = SeededSampling(0, temperature, top_p)
    tokens = draw(IDS, SCORES.expand(20_000, -1)).argmax(dim=-1)
    counts = tokens.bincount(minlength=SCORES.shape[1]).tolist()
    assert {token for token, count in enumerate(counts) if count} == set(expected)
    if len(expected) > 1:
        observed = [counts[token] for token in expected]
        assert chisquare(observed, [20_000 * share for share in expected.values()]).pvalue > 1e-3


def test_a_draw_depends_on_the_seed_alone():
    state = torch.get_rng_state()

    def draws(seed):
        sampling = SeededSampling(seed, 1.0, 1.0)
        return [sampling(IDS, SCORES).argmax().item() for _ in range(30)]

    first = draws(1)
    torch.manual_seed(5)
    assert draws(1) == first
    assert draws(2) != first
    torch.set_rng_state(state)
    draws(3)
    assert torch.equal(torch.get_rng_state(), state)


def test_without_temperature_nothing_is_drawn():
    assert torch.equal(SeededSampling(0, 0.0, 0.5)(IDS, SCORES), SCORES)


def test_what_a_model_must_not_say_is_never_drawn():
    banned = torch.tensor([[-torch.inf, 0.0, -torch.inf]])
    for seed in range(50):
        assert SeededSampling(seed, 2.0, 1.0)(IDS, banned.half()).argmax() == 1
