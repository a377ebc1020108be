"""Which names evaluators can have, so that no key and no column of a report has two meanings."""

import re
from collections import Counter
from collections.abc import Iterable

from lightning_dissect.label_evaluation import RATES
from lightning_dissect.report.rows import LAYER_COLUMNS, NEURON_COLUMNS
from lightning_dissect.report.scalars import STATUS_SHARES, VERDICT_SHARES

TAKEN = frozenset(
    {
        *NEURON_COLUMNS,
        *LAYER_COLUMNS,
        *STATUS_SHARES.values(),
        *VERDICT_SHARES.values(),
        *("montage", "top_images", "report", "trust"),
    }
)
"""What keys and columns of every report are called."""


def check_evaluator_names(names: Iterable[str], metrics: Iterable[str] = ()) -> None:
    """Check that evaluators are called by what neither a report, a metric nor another evaluator uses.

    An evaluator takes its name and, after it, ``_`` and each of the rates (`label_evaluation.RATES`); a metric takes
    its name and ``<metric>_undefined``; `TAKEN` are those of every report.

    Args:
        names: Names of the evaluators.
        metrics: Names of the metrics that judge labels in the same dissection.

    Raises:
        ValueError:
            If a name holds anything but letters, digits and ``_``, or is taken.

    Example:
        >>> check_evaluator_names(["vqa", "embedding_similarity"], metrics=["recall"])
        >>> check_evaluator_names(["recall"], metrics=["recall"])
        Traceback (most recent call last):
        ...
        ValueError: Expected evaluators to have names that nothing else in reports has but got 'recall', ...

    """
    names = list(names)
    taken = Counter(TAKEN)
    taken.update(key for metric in metrics for key in (metric, f"{metric}_undefined"))
    keys = {name: (name, *(f"{name}_{rate}" for rate in RATES)) for name in names}
    taken.update(key for name in names for key in keys[name])
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9_]+", name):
            raise ValueError(f"Expected names of evaluators to be of letters, digits and '_' but got {name!r}.")
        shared = next((key for key in keys[name] if taken[key] > 1), None)
        if shared is not None:
            raise ValueError(
                f"Expected evaluators to have names that nothing else in reports has but got {name!r}, "
                f"and {shared!r} is taken. Call it something else."
            )
