import pytest

from lightning_dissect.budget import ByteBudget

GIB = 2**30


@pytest.mark.parametrize("recorded", [0, GIB // 2, 100 * GIB])
def test_shares_add_up_to_no_more_than_the_whole(recorded: int) -> None:
    budget = ByteBudget(2 * GIB)
    held = min(recorded, budget.activations)
    assert held + budget.concepts(recorded) + budget.pictures + budget.work <= 0.9 * budget.total


def test_what_activations_take_is_not_left_for_concepts() -> None:
    budget = ByteBudget(1000)
    assert [budget.concepts(recorded) for recorded in (0, 300, 400, 500)] == [700, 400, 300, 300]


def test_nothing_is_no_budget() -> None:
    with pytest.raises(ValueError, match="Expected `max_bytes` to be greater than 0"):
        ByteBudget(0)
