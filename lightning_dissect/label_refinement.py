"""What the search for a label of an open vocabulary found for one neuron."""

import math
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal, get_args

Origin = Literal["label", "vocabulary", "random", "bank", "proposal", "summary", "unexplained", "superclass"]
ORIGINS: tuple[Origin, ...] = get_args(Origin)
Outcome = Literal["scored", "repeat", "refused", "unreadable", "failed"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
Stop = Literal["steps", "converged", "budget", "unreachable", "not scorable"]
STOPS: tuple[Stop, ...] = get_args(Stop)

SHOWN_TRIALS = 6
"""Trials of a neuron whose images reports show."""

Interval = tuple[float, float]
NOWHERE: Interval = (math.nan, math.nan)


@dataclass(frozen=True)
class CoSyScore:
    """How well a label describes a neuron, by images made for the label.

    A neuron that is constant over the control images, or not finite somewhere, is not scorable: all numbers are NaN.

    Args:
        auc: Probability that a synthetic image activates the neuron more than a control image does, ties counted half.
        mad: Mean activation on synthetic images minus that on control images, in standard deviations of the latter.
        difference: The same difference in units of the activation.
        u: Mann and Whitney's U of the control images; ``auc`` is ``1 - u / (control * synthetic)``.
        p_value: Two-sided p-value of that test.
        auc_interval: Where ``auc`` lies, by a bootstrap over images.
        mad_interval: Where ``mad`` lies, likewise.
        num_control: Images of the control set.
        num_synthetic: Images of the label.

    """

    auc: float
    mad: float
    difference: float
    u: float
    p_value: float
    auc_interval: Interval
    mad_interval: Interval
    num_control: int
    num_synthetic: int

    @property
    def is_scorable(self) -> bool:
        """Whether the neuron can be scored."""
        return math.isfinite(self.auc)


@dataclass(frozen=True)
class ConceptTrial:
    """One concept of the search for a label, or one answer that held none.

    Args:
        step: Step of the search, 0 for the concepts that it begins with.
        origin: Where the concept comes from: ``"label"``, what the dissection says of the neuron; ``"vocabulary"`` and
            ``"random"``, concepts of the vocabulary; ``"bank"``, a concept that was drawn for another neuron;
            ``"proposal"`` and ``"summary"``, what a proposer said; ``"unexplained"``, what real images show that
            activate the neuron for no reason found before; ``"superclass"``, what takes in concepts that were tried.
        outcome: ``"scored"``; ``"repeat"`` if it is but another form of one that was tried; ``"refused"`` if the
            proposer would not answer; ``"unreadable"`` if its answer held no concept; ``"failed"`` if no image of the
            concept could be had.
        concept: The concept, empty if there is none.
        score: Mean activation on its images, in standard deviations of the control images and above their mean; NaN
            unless it was scored.
        image_ids: Content ids of the images by which it was scored.
        new_images: How many of them had to be made for it.
        standard_error: Standard error of the score; NaN with fewer than two images.
        answer: What the proposer said beyond the concept, such as its reasons.

    """

    step: int
    origin: Origin
    outcome: Outcome
    concept: str
    score: float = math.nan
    image_ids: tuple[int, ...] = ()
    new_images: int = 0
    standard_error: float = math.nan
    answer: str = ""


@dataclass(frozen=True)
class Sense:
    """One of the meanings of a neuron.

    Args:
        concepts: Concepts that say it: the one that tells it best, which may take in others and need not have been
            tried, then those that activate the neuron, most first.
        share: Share of the images that activate the neuron most which show this meaning; those that show several are
            shared out.
        image_ids: Content ids of images that show it, most activating first.

    """

    concepts: tuple[str, ...]
    share: float
    image_ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class Novelty:
    """Whether a label says something that the vocabulary does not.

    Args:
        by_string: Whether no concept of the vocabulary is the same text, without regard to case.
        by_lemma: Whether none is the same in another form, such as the plural.
        distance: 1 minus the largest cosine of its text embedding with that of a concept; NaN without an encoder.

    """

    by_string: bool
    by_lemma: bool
    distance: float = math.nan


@dataclass(frozen=True)
class RefinementCost:
    """What the search for a label took.

    Args:
        images: Images that were made to search.
        judging_images: Images that were made to judge the result.
        calls: Times that the proposer was asked.
        lookups: Concepts that were scored by images made before, at no cost.
        seconds: Time in seconds; it does not count when searches are compared.

    """

    images: int = 0
    judging_images: int = 0
    calls: int = 0
    lookups: int = 0
    seconds: float = field(default=0.0, compare=False)


@dataclass(frozen=True)
class LabelRefinement:
    """How the label of a neuron was searched for, and what came of it.

    Args:
        layer: Full name of the layer.
        unit: Index of the neuron within it, from 0.
        label: The label, empty if chance would do as well on images that the search has not seen.
        concept: The concept that was judged, the label or what is withheld: of the concepts that score as high as the
            best but for an error, and of those above them, the widest that the neuron follows. Empty if nothing was
            scored.
        start: The label of the dissection that the search began with, empty if there was none.
        trials: What was tried, in order.
        stopped: Why the search ended: ``"steps"`` after all steps, ``"converged"`` where steps brought nothing better,
            ``"budget"``, ``"unreachable"`` if the proposer could not be asked, or ``"not scorable"`` if the neuron is
            dead or not finite on the control images.
        judged: ``concept``, judged by images that the search has not seen, ``None`` if nothing was.
        start_judged: The first label, judged likewise. Where a dissection chose it by all real images and real images
            judge, it has seen these, which flatters it.
        q_value: Lowest false-discovery rate among the neurons refined together at which chance is ruled out; NaN
            where unknown.
        senses: The meanings of the neuron, the largest share first.
        novelty: Whether the label is new to the vocabulary, ``None`` without a label.
        cost: What it took.

    Example:
        >>> dog = ConceptTrial(0, "label", "scored", "dog", 1.5)
        >>> wolf = ConceptTrial(1, "proposal", "scored", "wolf", 2.5)
        >>> refined = LabelRefinement("fc", 7, "wolf", "wolf", "dog", (dog, wolf), "steps")
        >>> refined.best.concept, refined.running_best
        ('wolf', (1.5, 2.5))

    """

    layer: str
    unit: int
    label: str
    concept: str
    start: str
    trials: tuple[ConceptTrial, ...]
    stopped: Stop
    judged: CoSyScore | None = None
    start_judged: CoSyScore | None = None
    q_value: float = math.nan
    senses: tuple[Sense, ...] = ()
    novelty: Novelty | None = None
    cost: RefinementCost = RefinementCost()

    @property
    def best(self) -> ConceptTrial | None:
        """The trial with the highest score, the first of several; ``None`` if none was scored."""
        return max(self._scored, key=lambda trial: trial.score, default=None)

    @property
    def running_best(self) -> tuple[float, ...]:
        """The best score after each scored trial."""
        best = -math.inf
        return tuple(best := max(best, trial.score) for trial in self._scored)

    @property
    def shown_trials(self) -> tuple[ConceptTrial, ...]:
        """The `SHOWN_TRIALS` trials with the highest scores, best first: those whose images reports show."""
        return tuple(sorted(self._scored, key=lambda trial: -trial.score)[:SHOWN_TRIALS])

    @property
    def shown_images(self) -> frozenset[int]:
        """Content ids of the images that reports show: of these trials, of the judged concept and of the senses."""
        trials = (*self.shown_trials, *(trial for trial in self._scored if trial.concept == self.concept))
        groups = [*(trial.image_ids for trial in trials), *(sense.image_ids for sense in self.senses)]
        return frozenset(chain.from_iterable(groups))

    @property
    def _scored(self) -> list[ConceptTrial]:
        return [trial for trial in self.trials if trial.outcome == "scored"]
