import math

import pytest

from lightning_dissect.agreement import ConfusionTable
from lightning_dissect.agreement.verdicts import label_keys
from tests.helpers.small_report import HOSTILE, doubtful_report, small_report


def verdicts(answers):
    return {("fc", unit, "cat"): answer == "y" for unit, answer in enumerate(answers) if answer != " "}


def test_only_labels_that_both_judged_count():
    table = ConfusionTable.of(verdicts("yyynn y"), verdicts("yynyny "))
    assert table == ConfusionTable(both_yes=2, first_only=1, second_only=1, both_no=1)
    assert table.total == 5
    assert table.first_yes_rate == 3 / 5
    assert table.second_yes_rate == 3 / 5


def test_a_verdict_on_another_label_of_the_same_neuron_does_not_count():
    assert ConfusionTable.of({("fc", 0, "cat"): True}, {("fc", 0, "dog"): True}).total == 0


def test_tables_add_up():
    assert ConfusionTable(1, 2, 3, 4) + ConfusionTable(10, 20, 30, 40) == ConfusionTable(11, 22, 33, 44)


def test_without_labels_rates_are_undefined():
    empty = ConfusionTable(0, 0, 0, 0)
    assert math.isnan(empty.first_yes_rate)
    assert math.isnan(empty.second_yes_rate)


def test_negative_numbers_are_refused():
    with pytest.raises(ValueError, match="Expected `second_only` to be at least 0 but got -1"):
        ConfusionTable(1, 2, -1, 0)


def test_what_can_be_judged_has_a_label_that_is_not_withheld():
    assert label_keys(doubtful_report()) == (("fc", 0, "cat"), ("fc", 1, "dog"))
    assert label_keys(small_report())[:6] == tuple(("body.conv", unit, label) for unit, label in enumerate(HOSTILE))
