import math

import pytest

from lightning_dissect.agreement import Rating, compare_judges, consensus, latest, seconds_per_neuron, verdicts_by_rater


def rated(rater, answers, layer="fc"):
    """One rating per letter (y, n, u); a blank is no rating."""
    names = {"y": "yes", "n": "no", "u": "unsure"}
    return [
        Rating(rater, layer, unit, f"label {unit}", names[answer])
        for unit, answer in enumerate(answers)
        if answer != " "
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rater": " "}, "Expected `rater` to be a text that is not empty but got ' '"),
        ({"label": ""}, "Expected `label` to be a text that is not empty but got ''"),
        ({"unit": -1}, "Expected `unit` to be at least 0 but got -1"),
        ({"answer": "maybe"}, r"Expected `answer` to be one of \['yes', 'no', 'unsure'\] but got 'maybe'"),
        ({"seconds": -0.5}, "Expected `seconds` to be a time or NaN where unknown but got -0.5"),
        ({"seconds": math.inf}, "but got inf"),
    ],
)
def test_a_rating_is_checked(changes, message):
    with pytest.raises(ValueError, match=message):
        Rating(**{"rater": "ana", "layer": "", "unit": 0, "label": "cat", "answer": "yes", **changes})


def test_a_later_rating_replaces_an_earlier_one_of_the_same_person_and_label_only():
    ratings = [*rated("ana", "yn"), *rated("bo", "n"), *rated("ana", "n")]
    ratings.append(Rating("ana", "fc", 0, "another label", "yes"))
    assert [(rating.rater, rating.unit, rating.label, rating.answer) for rating in latest(ratings)] == [
        ("ana", 0, "label 0", "no"),
        ("ana", 1, "label 1", "no"),
        ("bo", 0, "label 0", "no"),
        ("ana", 0, "another label", "yes"),
    ]


def test_consensus_is_the_majority_of_yes_and_no():
    ratings = [*rated("ana", "yyynu "), *rated("bo", "ynuuu "), *rated("cy", "n  u y")]
    units = {unit: verdict for (_, unit, _), verdict in consensus(ratings).items()}
    assert units == {0: True, 2: True, 3: False, 5: True}


def test_who_is_unsure_takes_back_an_earlier_verdict():
    assert verdicts_by_rater([*rated("ana", "y"), *rated("ana", "u")]) == {"ana": {}}
    assert consensus([*rated("ana", "y"), *rated("ana", "u")]) == {}


def test_people_are_compared_with_each_other():
    comparison = compare_judges(verdicts_by_rater([*rated("ana", "yyyynn"), *rated("bo", "yyynnu")]))
    pair = comparison.of("ana", "bo")
    assert pair.table.total == 5
    assert pair.estimates["agreement"].value == 0.8


def test_time_per_neuron_is_the_median_of_known_times():
    ratings = [Rating("ana", "fc", unit, "x", "no", seconds) for unit, seconds in enumerate([2, 4, math.nan, 900])]
    assert seconds_per_neuron(ratings) == 4
    assert math.isnan(seconds_per_neuron(rated("ana", "yn")))
