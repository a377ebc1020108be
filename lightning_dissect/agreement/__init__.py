"""How far judges of labels, people and machines, agree."""

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
from lightning_dissect.agreement.verdicts import LabelKey, Verdicts, label_keys

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
    "verdicts_by_rater",
]
