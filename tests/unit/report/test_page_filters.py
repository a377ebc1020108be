import math

from lightning_dissect.report.page_filters import NOTHING, decimal, percent, share, signed


def test_what_is_not_finite_is_shown_as_nothing():
    assert [show(number) for show in (decimal, signed, share) for number in (math.nan, math.inf)] == [NOTHING] * 6


def test_digits():
    assert decimal(1.25, 1) == "1.2"
    assert signed(0.005, 1) == "+0.0"
    assert percent(2, 3) == "66.7%"
