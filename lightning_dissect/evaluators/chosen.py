"""Evaluators that a user has chosen, by name."""

from collections import Counter
from collections.abc import Sequence

from lightning_dissect.evaluators.base import EVALUATORS, LabelEvaluator
from lightning_dissect.extension_names import extension_names

_MEMBERS = ("family", "questions_at_once", "check", "answer", "release")


def chosen_evaluators(evaluators: Sequence[str | LabelEvaluator]) -> dict[str, LabelEvaluator]:
    """Return evaluators by the name that keys and columns of reports call them.

    Args:
        evaluators: Registered names, with or without an argument (``"vqa:FOLDER"``), or objects.

    Raises:
        ValueError:
            If a name is not registered, or that of two evaluators which nothing tells apart.
        TypeError:
            If ``evaluators`` is no sequence, or one of them is no evaluator.

    Example:
        >>> list(chosen_evaluators(["embedding_similarity", "concept_proportion:assembled"]))
        ['embedding_similarity', 'concept_proportion']

    """
    if isinstance(evaluators, str) or not isinstance(evaluators, Sequence):
        raise TypeError(f"Expected `evaluators` to be a list of names or objects but got {evaluators!r}.")
    found = [EVALUATORS.resolve(spec) for spec in evaluators]
    for evaluator in found:
        if isinstance(evaluator, type) or not all(_has(evaluator, member) for member in _MEMBERS):
            raise TypeError(
                f"Expected `evaluators` to be objects with {', '.join(f'`{member}`' for member in _MEMBERS)} "
                f"but got {evaluator!r}."
            )
    names = extension_names(evaluators, found, EVALUATORS)
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise ValueError(f"Expected `evaluators` to differ but {repeated[0]!r} is there more than once. Leave one out.")
    return dict(zip(names, found, strict=True))


def _has(evaluator: object, member: str) -> bool:
    """Return whether there is a member, without asking for its value, which may be in a file that is not here yet."""
    return hasattr(type(evaluator), member) or member in getattr(evaluator, "__dict__", {})
