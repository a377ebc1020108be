import pytest

from lightning_dissect.refine.spending import SearchBudget, Spending


def test_without_limits_all_can_be_afforded():
    assert Spending(SearchBudget()).affords(images=10**9, calls=10**9)


def test_reserved_images_are_not_left():
    spending = Spending(SearchBudget(images=10))
    spending.reserved = 6
    assert spending.affords(images=4)
    assert not spending.affords(images=5)


def test_time_runs_out():
    now = iter([100.0, 101.0, 102.5, 102.5])
    spending = Spending(SearchBudget(seconds=2), clock=lambda: next(now))
    assert spending.affords()
    assert not spending.affords()
    assert spending.seconds == 2.5


@pytest.mark.parametrize("name", ["seconds", "images", "calls"])
def test_a_budget_of_nothing_is_refused(name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        SearchBudget(**{name: 0})
