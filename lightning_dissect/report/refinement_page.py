"""The self-contained HTML page of a search for labels."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jinja2

from lightning_dissect.label_refinement import ORIGINS, OUTCOMES, STOPS, CoSyScore, LabelRefinement, Origin
from lightning_dissect.refinement_report import RefinementReport
from lightning_dissect.report.plain_number import plain_number
from lightning_dissect.report.refinement_rows import chosen_trial, concept_score, start_score
from lightning_dissect.report.self_contained import page_environment
from lightning_dissect.report.thumbnails import by_rank, encode, fitting_side

LINE_IMAGES = 105
"""Images per neuron of LINE: five of each of ten first concepts, ten proposals and a summary."""

LINE_CALLS = 11
"""Calls of its language model per neuron: ten proposals and a summary."""

ROW_IMAGES = 8
"""Images of a concept or a meaning that the page shows."""


@dataclass(frozen=True)
class OriginOverview:
    """What came of the concepts of one origin.

    Args:
        origin: Where they came from.
        tried: How many there were, with answers that held none.
        scored: How many of them were scored.
        labels: How many became the label of a neuron.

    """

    origin: Origin
    tried: int
    scored: int
    labels: int


@dataclass(frozen=True)
class JudgedPair:
    """A neuron whose label before and after the search were both judged.

    Args:
        before: AUC of the label before.
        after: AUC of the concept after.
        title: Neuron, label and concept as people read them.
        is_withheld: Whether the neuron has no label after all.

    """

    before: float
    after: float
    title: str
    is_withheld: bool


def render_refinement(report: RefinementReport, image_budget: int = 8_000_000) -> str:
    """Return the page of a search for labels: one HTML document that needs no network.

    On top is the search in numbers, beside what LINE takes; below a list of neurons, each of which opens on all that
    was tried for it. The page's own policy (Content-Security-Policy) admits one script, named by its hash, and no
    request at all. Concepts and what proposers say are only ever shown as text.

    Args:
        report: What the search found.
        image_budget: Most characters that images may take; those of the best concepts come first.

    Example:
        >>> page = render_refinement(RefinementReport(epoch=2, step=90, cycle=2, neurons=()))
        >>> page.startswith("<!doctype html>"), "<title>Search for labels · epoch 2" in page
        (True, True)

    References:
        LINE, 2026. https://arxiv.org/abs/2604.08039

    """
    wanted = by_rank([_images_of(neuron) for neuron in report.neurons])
    known = [number for number in wanted if number in report.pictures]
    images = encode(report.pictures, known, fitting_side(len(known), image_budget), image_budget)
    pairs = judged_pairs(report)
    low = math.floor(10 * min((end for pair in pairs for end in (pair.before, pair.after)), default=0.5)) / 10
    trials = Counter(trial.outcome for neuron in report.neurons for trial in neuron.trials)
    stops = Counter(neuron.stopped for neuron in report.neurons)
    return (
        _environment()
        .get_template("refinement_page.html.j2")
        .render(
            report=report,
            totals=report.metrics,
            line={"images": LINE_IMAGES, "calls": LINE_CALLS},
            origins=origin_overviews(report),
            outcomes=[(outcome, trials[outcome]) for outcome in OUTCOMES if trials[outcome]],
            stops=[(stop, stops[stop]) for stop in STOPS if stops[stop]],
            pairs=pairs,
            low=min(low, 0.5),
            data=refinement_data(report, wanted, images),
            missing_images=len(wanted) - len(images),
        )
    )


def refinement_data(report: RefinementReport, ids: list[int], images: Mapping[int, str]) -> dict[str, Any]:
    """Return what the page's script builds the list from, as plain values that JSON can hold.

    Args:
        report: What the search found.
        ids: Content ids of all images that the page has a place for.
        images: Base64 of JPEG by content id.

    Returns:
        ``layers``, ``origins``, ``outcomes``, ``stops`` and ``texts`` as lists of texts; ``images``, Base64 or
        ``None``; ``neurons``. Of each neuron ``layer`` and ``stopped`` are places in these lists, as are all concepts
        and answers; ``judged`` and ``before`` are ``[AUC, its ends, MAD, its ends, control images, synthetic images]``
        or ``None``; ``trials`` are ``[step, origin, outcome, concept, score, standard error, new images, answer]``;
        ``shown`` are ``[place of the trial, places of its images]``, best first; ``senses`` are ``[concepts, share,
        places of images]``; ``novelty`` is ``[by string, by lemma, distance]`` or ``None``. A number that is not finite
        is ``None``.

    """
    layers = {layer: place for place, layer in enumerate(dict.fromkeys(neuron.layer for neuron in report.neurons))}
    places = {number: place for place, number in enumerate(ids)}
    texts: dict[str, int] = {}
    neurons = [_neuron_data(neuron, layers[neuron.layer], texts, places) for neuron in report.neurons]
    return {
        "layers": list(layers),
        "origins": ORIGINS,
        "outcomes": OUTCOMES,
        "stops": STOPS,
        "texts": list(texts),
        "images": [images.get(number) for number in ids],
        "neurons": neurons,
    }


def origin_overviews(report: RefinementReport) -> list[OriginOverview]:
    """Return what came of the concepts of each origin, in the order of `ORIGINS`, without those that gave none.

    Args:
        report: What the search found.

    """
    trials = [trial for neuron in report.neurons for trial in neuron.trials]
    tried = Counter(trial.origin for trial in trials)
    scored = Counter(trial.origin for trial in trials if trial.outcome == "scored")
    chosen = [chosen_trial(neuron) for neuron in report.neurons if neuron.label]
    labels = Counter(trial.origin for trial in chosen if trial is not None)
    return [OriginOverview(name, tried[name], scored[name], labels[name]) for name in ORIGINS if tried[name]]


def judged_pairs(report: RefinementReport) -> list[JudgedPair]:
    """Return the neurons whose label before and after the search were both judged.

    Args:
        report: What the search found.

    """
    return [
        JudgedPair(
            neuron.start_judged.auc,
            neuron.judged.auc,
            f"{neuron.layer or '(model)'} #{neuron.unit}: {neuron.start} → {neuron.concept}",
            not neuron.label,
        )
        for neuron in report.neurons
        if neuron.judged and neuron.start_judged and neuron.judged.is_scorable and neuron.start_judged.is_scorable
    ]


def _neuron_data(
    neuron: LabelRefinement, layer: int, texts: dict[str, int], places: Mapping[int, int]
) -> dict[str, Any]:
    def text(content: str) -> int:
        return texts.setdefault(content, len(texts))

    def row(ids: tuple[int, ...]) -> list[int]:
        return [places[number] for number in ids[:ROW_IMAGES]]

    score, before = concept_score(neuron), start_score(neuron)
    return {
        "layer": layer,
        "unit": neuron.unit,
        "start": text(neuron.start),
        "label": text(neuron.label),
        "concept": text(neuron.concept),
        "score": plain_number(score),
        "startScore": plain_number(before),
        "gain": plain_number(score - before),
        "judged": _judged_data(neuron.judged),
        "before": _judged_data(neuron.start_judged),
        "q": plain_number(neuron.q_value),
        "novelty": neuron.novelty
        and [neuron.novelty.by_string, neuron.novelty.by_lemma, plain_number(neuron.novelty.distance)],
        "stopped": STOPS.index(neuron.stopped),
        "images": neuron.cost.images,
        "judgingImages": neuron.cost.judging_images,
        "calls": neuron.cost.calls,
        "lookups": neuron.cost.lookups,
        "seconds": plain_number(neuron.cost.seconds),
        "senses": [
            [list(map(text, sense.concepts)), plain_number(sense.share), row(sense.image_ids)]
            for sense in neuron.senses
        ],
        "shown": [[neuron.trials.index(trial), row(trial.image_ids)] for trial in neuron.shown_trials],
        "trials": [
            [
                trial.step,
                ORIGINS.index(trial.origin),
                OUTCOMES.index(trial.outcome),
                text(trial.concept),
                plain_number(trial.score),
                plain_number(trial.standard_error),
                trial.new_images,
                text(trial.answer),
            ]
            for trial in neuron.trials
        ],
    }


def _judged_data(found: CoSyScore | None) -> list[float | None] | None:
    if found is None:
        return None
    numbers = found.auc, *found.auc_interval, found.mad, *found.mad_interval
    return [*map(plain_number, numbers), found.num_control, found.num_synthetic]


def _images_of(neuron: LabelRefinement) -> list[int]:
    """Return the images of a neuron's rows, the first of each row before any second one."""
    trials = [trial.image_ids[:ROW_IMAGES] for trial in neuron.shown_trials]
    return by_rank([*trials, *(sense.image_ids[:ROW_IMAGES] for sense in neuron.senses)])


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    parts = ("components", "elements", "listing", "course")
    return page_environment("report", "refinement_page", *(f"report/{part}" for part in parts))
