"""How far judges of labels, people and machines, agree.

`render_rating_sheet` makes the page on which people rate, `read_ratings` reads what they saved, `consensus` makes them
one judge, and `compare_judges` holds any judges against each other.

Example:
    >>> ratings = [Rating("ana", "fc", unit, "cat", "yes" if unit < 6 else "no", seconds=4.0) for unit in range(9)]
    >>> machine = {("fc", unit, "cat"): unit < 7 for unit in range(9)}
    >>> comparison = compare_judges(
    ...     {"people": consensus(ratings), "machine": machine},
    ...     seconds={"people": seconds_per_neuron(ratings), "machine": 0.031},
    ... )
    >>> comparison.of("people", "machine").table
    ConfusionTable(both_yes=6, first_only=0, second_only=1, both_no=2)

"""

from lightning_dissect.agreement.comparison import JudgeComparison, PairAgreement, compare_judges
from lightning_dissect.agreement.confusion import ConfusionTable
from lightning_dissect.agreement.intervals import Estimate, estimates
from lightning_dissect.agreement.rating_files import ratings_to_csv, read_ratings
from lightning_dissect.agreement.rating_sheet import render_rating_sheet
from lightning_dissect.agreement.ratings import Rating, consensus, latest, seconds_per_neuron, verdicts_by_rater
from lightning_dissect.agreement.statistics import (
    STATISTICS,
    agreement_rate,
    cohen_kappa,
    gwet_ac1,
    intersection_over_union,
)
from lightning_dissect.agreement.verdicts import LabelKey, Verdicts, label_keys, verdicts_by_evaluator

__all__ = [
    "STATISTICS",
    "ConfusionTable",
    "Estimate",
    "JudgeComparison",
    "LabelKey",
    "PairAgreement",
    "Rating",
    "Verdicts",
    "agreement_rate",
    "cohen_kappa",
    "compare_judges",
    "consensus",
    "estimates",
    "gwet_ac1",
    "intersection_over_union",
    "label_keys",
    "latest",
    "ratings_to_csv",
    "read_ratings",
    "render_rating_sheet",
    "seconds_per_neuron",
    "verdicts_by_evaluator",
    "verdicts_by_rater",
]
