"""Histories written as words: ``"cat"`` is a label, ``"cat|dog"`` one with a rival, ``"?cat"`` one that is withheld."""

from collections.abc import Mapping, Sequence

import numpy as np

from lightning_dissect.history import DissectionHistory
from lightning_dissect.types import DissectionReport, LabelTrust, LayerDissection, NeuronLabel, ScoredConcept

DEAD, NON_FINITE = "-", "!"


def neuron(layer: str, unit: int, word: str, stability: float = float("nan")) -> NeuronLabel:
    """Return the neuron that a word stands for, ``-`` a dead one and ``!`` one that is not finite."""
    if word in (DEAD, NON_FINITE):
        return NeuronLabel(layer, unit, "dead" if word == DEAD else "non_finite")
    contenders = tuple(word.removeprefix("?").split("|"))
    status = "no_clear_function" if word.startswith("?") else "ambiguous" if len(contenders) > 1 else "labelled"
    trust = LabelTrust((0.0, 1.0), contenders, 0.01, 0.01, stability=stability)
    others = ("rest", *(f"rest {place}" for place in range(1, len(contenders))))
    candidates = tuple(ScoredConcept(name, 0.5 - 0.1 * place, 0.4) for place, name in enumerate(contenders + others))
    return NeuronLabel(layer, unit, status, candidates, trust=trust)


def report_of(
    cycle: int,
    layers: Mapping[str, Sequence[str]] | Sequence[str],
    stability: float = float("nan"),
    embeddings: Mapping[str, Sequence[float]] | None = None,
    **changes: object,
) -> DissectionReport:
    """Return a report, by default at step ``10 * cycle``; words without a layer are those of ``fc``."""
    named = layers if isinstance(layers, Mapping) else {"fc": layers}
    vectors = {name: np.array(vector, np.float32) for name, vector in (embeddings or {}).items()}
    values = {"epoch": cycle, "step": 10 * cycle, "cycle": cycle, "num_images": 20, "concept_embeddings": vectors}
    dissected = tuple(
        LayerDissection(layer, tuple(neuron(layer, unit, word, stability) for unit, word in enumerate(words)))
        for layer, words in named.items()
    )
    return DissectionReport(layers=dissected, **{**values, **changes})


def history_of(*dissections: Mapping[str, Sequence[str]] | Sequence[str], **options: object) -> DissectionHistory:
    """Return the history of some dissections."""
    history = DissectionHistory()
    for cycle, layers in enumerate(dissections):
        history.append(report_of(cycle, layers, **options))
    return history
