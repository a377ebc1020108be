"""What a search for labels may find: thirty neurons, trials of all outcomes, senses, pictures and hostile labels."""

import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from lightning_dissect.label_refinement import (
    ConceptTrial,
    CoSyScore,
    LabelRefinement,
    Novelty,
    Outcome,
    RefinementCost,
    Sense,
)
from lightning_dissect.refinement_report import RefinementReport
from tests.helpers.small_report import HOSTILE

CONCEPTS = (
    *("dog", "wolf", "striped cat", "tabby", "zebra crossing", "red brick wall", "ocean at dusk", "freckled skin"),
    *("wheel of a bicycle", "honeycomb", "chain-link fence", "snow, fresh", "a/b testing chart", "old handwriting"),
    *("aerial view of fields", "corduroy", "fog", "jellyfish", "printed text on a curved bottle", "orange peel"),
)

RIGHT_TO_LEFT = "כלב (רץ) 123 \u202e evil"

LABELS = (*HOSTILE, RIGHT_TO_LEFT)
"""Labels that break pages; units 0 to 6 of the second layer have them."""

IMAGES_PER_CONCEPT = 5

SETTINGS = {
    "steps": "10",
    "proposer": "VocabularyProposer(vocabulary='<b>mine</b>')",
    "generator": "RetrievalGenerator(pool='50,000 images')",
    "search images": "5",
    "judging images": "50",
    "budget": "20 images per neuron",
}


def image_id(concept: str, place: int) -> int:
    """A content id, too large for a double, of an image of a concept."""
    return 2**62 + 2**31 * (1 + sum(map(ord, concept)) % 100_003) + place


@cache
def drawn(concept: str, place: int, side: int = 128) -> np.ndarray:
    """A picture of a concept: a grating of its own colours and direction, cut by a disc."""
    rng = np.random.default_rng(image_id(concept, place))
    own = np.random.default_rng(image_id(concept, 0))
    dark, light, disc = own.integers(30, 225, (3, 3))
    angle, pitch = own.uniform(0, math.pi), own.uniform(5, 24)
    rows, columns = np.mgrid[:side, :side]
    wave = np.sin((rows * math.cos(angle) + columns * math.sin(angle)) * 2 * math.pi / pitch + rng.uniform(0, 6))
    picture = np.where(wave[..., None] > 0, dark, light)
    centre, radius = rng.uniform(side * 0.25, side * 0.75, 2), rng.uniform(side * 0.12, side * 0.3)
    inside = np.hypot(rows - centre[0], columns - centre[1]) < radius
    picture = np.where(inside[..., None], disc, picture)
    return np.clip(picture + rng.normal(0, 9, picture.shape), 0, 255).astype(np.uint8)


def refined_report(dirpath: Path | None = None, neurons: int = 30, **changes: Any) -> RefinementReport:
    """Neurons of two layers.

    Of ``layer4``: unit 0 keeps its label, unit 1 is withheld, unit 2 is dead, unit 3 had no label, unit 4 could not
    reach its proposer; of ``body.conv.pointwise`` the first have hostile `LABELS`. Units that are multiples of 3 have
    two senses.
    """
    found = tuple(_neuron(place, neurons) for place in range(neurons))
    values = {
        "epoch": 4,
        "step": 12_500,
        "cycle": 3,
        "neurons": found,
        "pictures": changes["pictures"] if "pictures" in changes else _pictures(found),
        "settings": SETTINGS,
        "dirpath": dirpath,
        "logger_step": 12_499,
    }
    return RefinementReport(**{**values, **changes})


def _pictures(neurons: tuple[LabelRefinement, ...]) -> dict[int, np.ndarray]:
    shown = [(trial.concept, trial.image_ids) for neuron in neurons for trial in neuron.shown_trials]
    shown += [(sense.concepts[0], sense.image_ids) for neuron in neurons for sense in neuron.senses]
    return {number: drawn(concept, place) for concept, ids in shown for place, number in enumerate(ids)}


def _neuron(place: int, neurons: int) -> LabelRefinement:
    half = neurons // 2
    if place < half:
        return _special(place) or _ordinary("layer4", place, CONCEPTS[place % len(CONCEPTS)])
    unit = place - half
    label = LABELS[unit] if unit < len(LABELS) else CONCEPTS[unit % len(CONCEPTS)]
    return _ordinary("body.conv.pointwise", unit, label)


def _special(unit: int) -> LabelRefinement | None:
    if unit == 0:
        trials = (scored(0, "label", "dog", 2.5), *_quiet(1))
        score = judged(0.97)
        return LabelRefinement(
            "layer4",
            0,
            "dog",
            "dog",
            "dog",
            trials,
            "converged",
            judged=score,
            start_judged=score,
            q_value=0.001,
            novelty=Novelty(False, False, 0.0),
            cost=RefinementCost(5, 50, 3, 4, 1.5),
        )
    if unit == 1:
        trials = (scored(0, "random", "fog", 0.12), scored(0, "label", "wolf", 0.05))
        return LabelRefinement(
            "layer4",
            1,
            "",
            "fog",
            "wolf",
            trials,
            "budget",
            judged=judged(0.53),
            start_judged=judged(0.49),
            q_value=0.41,
            cost=RefinementCost(10, 100, 0, 0, 0.5),
        )
    if unit == 2:
        return LabelRefinement("layer4", 2, "", "", "", (), "not scorable")
    if unit == 3:
        trials = (scored(0, "vocabulary", "tabby", 1.5), scored(1, "proposal", "striped cat", 3.25))
        return LabelRefinement(
            "layer4",
            3,
            "striped cat",
            "striped cat",
            "",
            trials,
            "steps",
            judged=judged(0.93),
            q_value=0.002,
            senses=(_sense("striped cat", 1.0),),
            novelty=Novelty(True, True),
            cost=RefinementCost(10, 50, 1, 0, 0.75),
        )
    if unit == 4:
        trials = (
            scored(0, "label", "wolf", 1.0),
            ConceptTrial(1, "proposal", "failed", "", answer="ConnectionError: <b>refused</b>"),
        )
        return LabelRefinement(
            "layer4",
            4,
            "wolf",
            "wolf",
            "wolf",
            trials,
            "unreachable",
            judged=judged(0.8),
            start_judged=judged(0.8),
            cost=RefinementCost(5, 50, 0, 0, 0.25),
        )
    return None


def _ordinary(layer: str, unit: int, label: str) -> LabelRefinement:
    rng = np.random.default_rng(unit + len(layer))
    start = CONCEPTS[(unit + 3) % len(CONCEPTS)]
    pool = [concept for concept in CONCEPTS if concept not in (start, label)]
    others = [pool[index] for index in rng.permutation(len(pool)).tolist()]
    trials = [scored(0, "label", start, 0.8)]
    trials += [scored(0, "vocabulary", name, float(rng.uniform(-0.4, 1.2))) for name in others[:3]]
    trials += [scored(0, "bank", others[3], 1.1, new=0), scored(0, "random", others[4], -0.6)]
    trials += _quiet(1)
    for step in range(2, 10):
        trials.append(scored(step, "proposal", f"{others[step]} no. {unit}", 0.6 + 0.2 * step, answer=_reasons(step)))
    trials.append(scored(10, "summary", label, 3.125, answer=_reasons(10)))
    senses = [_sense(label, 1.0)]
    if unit % 3 == 0:
        senses = [_sense(label, 0.7, trials[-2].concept), _sense(others[5], 0.3)]
    return LabelRefinement(
        layer,
        unit,
        label,
        label,
        start,
        tuple(trials),
        "steps",
        judged=judged(0.97 - 0.01 * (unit % 9), mad=2.5),
        start_judged=judged(0.6 + 0.02 * (unit % 9)),
        q_value=0.0005 * (unit + 1),
        senses=tuple(senses),
        novelty=Novelty(True, unit % 2 == 0, 0.125),
        cost=RefinementCost(5 * (unit % 4), 100, 11, 12 + unit, 2.5),
    )


def _quiet(step: int) -> tuple[ConceptTrial, ...]:
    outcomes: tuple[tuple[Outcome, str, str], ...] = (
        ("repeat", "Dogs", "Another word for the same."),
        ("refused", "", "I cannot help with that."),
        ("unreadable", "", "[CONCEPT"),
        ("failed", "nothing like it", "No image of it was found."),
    )
    return tuple(ConceptTrial(step, "proposal", outcome, name, answer=answer) for outcome, name, answer in outcomes)


def _reasons(step: int) -> str:
    return (
        f"Step {step}: what scores high shares <em>texture</em> rather than shape, and every one of the best concepts "
        "shows it against a plain ground.\nI therefore try something that has the texture without the object."
    )


def _sense(concept: str, share: float, *others: str) -> Sense:
    return Sense((concept, *others), share, tuple(image_id(concept, place) for place in range(6)))


def scored(step: int, origin: Any, concept: str, score: float, *, new: int = 5, answer: str = "") -> ConceptTrial:
    """A trial with a score."""
    ids = tuple(image_id(concept, place) for place in range(IMAGES_PER_CONCEPT))
    return ConceptTrial(step, origin, "scored", concept, score, ids, new, 0.125, answer)


def judged(auc: float, mad: float = 1.25) -> CoSyScore:
    """A score on 50 images against 500."""
    low, high = auc - 0.0625, min(1.0, auc + 0.0625)
    u = (1 - auc) * 25_000
    return CoSyScore(auc, mad, mad / 2, u, 0.0005, (low, high), (mad - 0.25, mad + 0.25), 500, 50)
