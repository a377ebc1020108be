import math

import pytest
import torch

from lightning_dissect.presence import ClassPresence, ConceptPresence, GivenPresence, UnionPresence

MEMBERS = [[0], [0, 1, 2], [4, 2], [0, 1, 2, 3, 4], [3, 3]]
RULES = {
    "maximum": max,
    "noisy_or": lambda values: 1 - math.prod(1 - value for value in values),
    "sum": lambda values: min(1.0, sum(values)),
}


@pytest.fixture
def values():
    return torch.rand(12, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) ** 2


@pytest.mark.parametrize("max_bytes", [1, 8 * 12 * 2, 2**20])
@pytest.mark.parametrize("rule", RULES)
def test_follows_its_definition(values, rule, max_bytes):
    found = UnionPresence(GivenPresence(values), MEMBERS, rule, max_bytes).columns(slice(None))
    expected = [[RULES[rule](row[sorted(set(union))].tolist()) for union in MEMBERS] for row in values]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-14)


def test_maximum_independence_and_sum_bound_each_other(values):
    maximum, noisy_or, total = (
        UnionPresence(GivenPresence(values), MEMBERS, rule).columns(slice(None)) for rule in RULES
    )
    assert (maximum <= noisy_or + 1e-14).all()
    assert (noisy_or <= total + 1e-14).all()


@pytest.mark.parametrize("rule", RULES)
def test_annotations_are_the_same_under_every_rule(rule):
    classes = torch.arange(12) % 5
    found = UnionPresence(ClassPresence(classes, 5), MEMBERS, rule).columns(slice(None))
    assert torch.equal(found, ClassPresence(classes, 5, MEMBERS).columns(slice(None)))
    assert not found.signbit().any()


@pytest.mark.parametrize("rule", RULES)
def test_rounding_above_one_does_no_harm(rule):
    presence = ConceptPresence(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), temperature=700.0)
    presence.normaliser -= 1e-15
    found = UnionPresence(presence, [[0, 1]], rule).columns(slice(None))
    assert found.tolist() == [[1.0], [1.0]]


def test_an_unknown_rule_is_refused(values):
    with pytest.raises(ValueError, match=r"`rule` to be one of \['maximum', 'noisy_or', 'sum'\] but got 'mean'"):
        UnionPresence(GivenPresence(values), MEMBERS, "mean")


@pytest.mark.parametrize("union", [[], [5], [-1, 0]])
def test_members_that_are_not_there_are_refused(values, union):
    with pytest.raises(ValueError, match=r"`members` to hold some of the concepts 0 to 4 .* at place 1"):
        UnionPresence(GivenPresence(values), [[0], union])
