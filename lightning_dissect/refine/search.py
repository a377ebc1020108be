"""The search for the label of one neuron: propose, draw, measure, and propose again."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor

from lightning_dissect.fingerprint import fingerprint
from lightning_dissect.label_refinement import ConceptTrial, Origin, Stop
from lightning_dissect.refine.bank import ConceptBank
from lightning_dissect.refine.base import ConceptProposer, NoImageError, Proposal, ProposalRequest, ScoredName
from lightning_dissect.refine.concept_names import canonical, joined
from lightning_dissect.refine.search_log import SearchLog
from lightning_dissect.refine.senses import SHARE
from lightning_dissect.refine.spending import Spending

GOOD_ERRORS = 2.0
"""Standard errors by which a concept may score less than the best one and still be the answer."""


@dataclass(frozen=True)
class RefinementTarget:
    """A neuron whose label is searched for.

    Args:
        layer: Full name of its layer.
        unit: Index within it, from 0.
        candidates: What the dissection says of it, best first; the first is its label.

    """

    layer: str
    unit: int
    candidates: tuple[str, ...] = ()


@dataclass(frozen=True)
class SearchSettings:
    """How a search goes about it; see `ConceptRefinement`."""

    steps: int
    proposals: int
    start_concepts: int
    bank_concepts: int
    bank_size: int
    patience: int
    retries: int
    search_images: int
    seed: int


class AskedProposer:
    """A proposer whose answers are noted, looked up before it is asked again, and paid for.

    One that cannot be reached is not asked a second time.

    Args:
        proposer: Who is asked.
        log: Where answers are noted.
        spending: What is left of the budget.

    """

    def __init__(self, proposer: ConceptProposer, log: SearchLog, spending: Spending) -> None:
        self._proposer = proposer
        self._origin = proposer.fingerprint()
        self._log = log
        self._spending = spending
        self._failure: str | None = None

    def ask(self, request: ProposalRequest) -> Proposal:
        """Return the answer to a request.

        Args:
            request: The request.

        Raises:
            SearchEnd:
                If there is no call left, or the proposer cannot be reached.

        """
        if not self._spending.affords(calls=1):
            raise SearchEnd("budget")
        key = fingerprint(self._origin, repr(request))
        noted = self._log.find("answer", key)
        if noted is None:
            proposal = self._answer(request)
            self._log.add("answer", key, asdict(proposal))
        else:
            proposal = Proposal(tuple(noted["concepts"]), noted["answer"], noted["outcome"])
        self._spending.calls += 1
        return proposal

    def _answer(self, request: ProposalRequest) -> Proposal:
        if self._failure is None:
            try:
                return self._proposer.propose(request)
            except OSError as error:
                self._failure = f"{type(error).__name__}: {error}"
        raise SearchEnd("unreachable", self._failure)


class SearchEnd(Exception):  # noqa: N818 - the end of a search is no error
    """A search cannot go on.

    Args:
        stop: Why.
        reason: In more words.

    """

    def __init__(self, stop: Stop, reason: str = "") -> None:
        super().__init__(reason)
        self.stop: Stop = stop
        self.reason = reason


class LabelSearch:
    """The search for the label of one neuron, concept by concept.

    Args:
        target: The neuron.
        bank: Concepts and their images.
        control: Mean and standard deviation of each unit of the layer on the control images, shape ``(units,)`` each.
        settings: How to go about it.
        proposer: Who is asked for concepts.
        log: Where trials are noted.
        spending: What is left of the budget.

    Attributes:
        answer: The concept that was settled on, empty before and if there is none.

    """

    def __init__(
        self,
        target: RefinementTarget,
        bank: ConceptBank,
        *,
        control: tuple[Tensor, Tensor],
        settings: SearchSettings,
        proposer: AskedProposer,
        log: SearchLog,
        spending: Spending,
    ) -> None:
        self.target = target
        self.trials: list[ConceptTrial] = []
        self.answer = ""
        self.stopped: Stop = "steps"
        self.images = self.calls = self.lookups = 0
        self.seconds = 0.0
        self._bank = bank
        self._mean, self._deviation = (float(values[target.unit]) for values in control)
        self._settings = settings
        self._proposer = proposer
        self._log = log
        self._spending = spending
        self._tried: dict[str, str] = {}

    @property
    def is_scorable(self) -> bool:
        """Whether the neuron answers differently to the control images, and finitely."""
        return math.isfinite(self._mean) and math.isfinite(self._deviation) and self._deviation > 0

    @property
    def best(self) -> ConceptTrial | None:
        """The trial with the highest score, the first of several."""
        return next(iter(self._ranked()), None)

    def good(self) -> list[ConceptTrial]:
        """Return the trials within `GOOD_ERRORS` standard errors of the best, best first: they may be as good."""
        best = self.best
        if best is None:
            return []
        least = best.score - GOOD_ERRORS * _error(best)
        return sorted((trial for trial in self._scored() if trial.score >= least), key=lambda trial: -trial.score)

    def says_meaning(self, trial: ConceptTrial) -> bool:
        """Return whether a concept activates the neuron enough to be one of its meanings, see `find_senses`.

        Args:
            trial: The concept, scored.

        """
        best = self.best
        return best is not None and trial.score + _error(trial) >= SHARE * best.score

    def run(self, random_concepts: Sequence[str]) -> None:
        """Search until all steps are taken, steps bring nothing better, or the budget is spent.

        Args:
            random_concepts: Concepts to begin with beside those that speak for the neuron.

        """
        if not self.is_scorable:
            self.stopped = "not scorable"
            return
        step, started = 0, self._spending.seconds
        try:
            self._begin(random_concepts)
            for step in self._steps():
                self._propose(step, "proposal")
            if step:
                self._propose(step + 1, "summary")
        except SearchEnd as end:
            self.stopped = end.stop
            if end.stop == "unreachable":
                self._note(ConceptTrial(step, "proposal", "failed", "", answer=end.reason))
        self.seconds = self._spending.seconds - started

    def look_through_bank(self) -> None:
        """Take the best concept that was drawn for any neuron, if it is better than all that was tried."""
        best = self.best
        if not self.is_scorable or best is None:
            return
        for concept, score in self._best_known(1):
            if score > best.score:
                self.look_at(concept, "bank")

    def look_at(self, concept: str, origin: Origin) -> ConceptTrial | None:
        """Try a concept after the search, unless it was tried; return its trial, ``None`` if it has no score.

        Args:
            concept: The concept.
            origin: Where it comes from.

        """
        started, form = self._spending.seconds, canonical(concept)
        if form not in self._tried:
            try:
                self._try(concept, self.trials[-1].step + 1, origin)
            except SearchEnd as end:
                self.stopped = end.stop
        self.seconds += self._spending.seconds - started
        return next((trial for trial in self._scored() if canonical(trial.concept) == form), None)

    def _begin(self, random_concepts: Sequence[str]) -> None:
        """Try what the dissection says, what others have drawn and what chance gives."""
        label, others = self.target.candidates[:1], self.target.candidates[1 : self._settings.start_concepts]
        known = [concept for concept, _ in self._best_known(self._settings.bank_concepts)]
        starts: list[tuple[Origin, Iterable[str]]] = [
            ("label", label),
            ("vocabulary", others),
            ("bank", known),
            ("random", random_concepts),
        ]
        for origin, concepts in starts:
            for concept in concepts:
                if canonical(concept) not in self._tried:
                    self._try(concept, 0, origin)

    def _steps(self) -> Iterable[int]:
        """Count steps until they are over or bring nothing better."""
        best, waited = self.best, 0
        for step in range(1, self._settings.steps + 1):
            yield step
            waited = waited + 1 if self.best == best else 0
            best = self.best
            if waited >= self._settings.patience and step < self._settings.steps:
                self.stopped = "converged"
                return

    def _propose(self, step: int, origin: Origin) -> None:
        """Ask until there is a concept that was not tried before, or the attempts are used up."""
        is_summary = origin == "summary"
        for attempt in range(self._settings.retries + 1):
            seed = fingerprint(self._settings.seed, self.target.layer, self.target.unit, step, attempt)
            request = ProposalRequest(
                scored=tuple(ScoredName(trial.concept, trial.score) for trial in self._ranked()),
                tried=tuple(self._tried.values()),
                step=step,
                count=1 if is_summary else self._settings.proposals,
                is_summary=is_summary,
                seed=int(seed[:8], 16),
            )
            proposal = self._proposer.ask(request)
            self.calls += 1
            if not proposal.concepts:
                outcome = "unreadable" if proposal.outcome == "scored" else proposal.outcome
                self._note(ConceptTrial(step, origin, outcome, "", answer=proposal.answer))
            found = [self._try(name, step, origin, proposal.answer) for name in proposal.concepts[: request.count]]
            if any(found):
                return

    def _try(self, concept: str, step: int, origin: Origin, answer: str = "") -> bool:
        """Measure a concept; return whether it was not tried before."""
        concept = " ".join(concept.split())
        trial = ConceptTrial(step, origin, "repeat", concept, answer=answer)
        if not canonical(concept) or canonical(concept) in self._tried:
            self._note(trial)
            return False
        is_known = self._bank.knows(concept, "search")
        if not is_known and not self._spending.affords(images=self._settings.search_images):
            raise SearchEnd("budget")
        self._tried[canonical(concept)] = concept
        try:
            drawn = self._bank.draw(concept, "search")
        except NoImageError as error:
            self._note(replace(trial, outcome="failed", answer=str(error)))
            return True
        self.lookups += is_known
        self.images += drawn.new_images
        self._spending.images += drawn.new_images
        self._note(self._measured(replace(trial, image_ids=drawn.image_ids, new_images=drawn.new_images)))
        return True

    def _measured(self, trial: ConceptTrial) -> ConceptTrial:
        """Return a trial with the score of its images; one that is not finite counts as failed."""
        activations = self._bank.activations(self.target.layer, trial.image_ids)[:, self.target.unit]
        scores = self._standardised(activations)
        score, count = scores.mean().item(), len(scores)
        if not math.isfinite(score):
            return replace(trial, outcome="failed", answer="The neuron is not finite on its images.")
        error = scores.std().item() / math.sqrt(count) if count > 1 else math.nan
        return replace(trial, outcome="scored", score=score, standard_error=error)

    def _best_known(self, count: int) -> list[tuple[str, float]]:
        """Return the concepts of the bank that were not tried, with the highest scores first.

        What *and* joins was made for another neuron and says little of this one.
        """
        scores = self._standardised(self._bank.means(self.target.layer)[:, self.target.unit])
        order = scores.nan_to_num(nan=-math.inf).argsort(descending=True, stable=True).tolist()
        names = self._bank.concepts("search")
        found = (
            (names[place], float(scores[place]))
            for place in order
            if canonical(names[place]) not in self._tried and len(joined(names[place])) == 1
        )
        return [pair for pair, _ in zip(found, range(count), strict=False)]

    def _standardised(self, activations: Tensor) -> Tensor:
        return (activations.double() - self._mean) / self._deviation

    def _ranked(self) -> list[ConceptTrial]:
        """Return the best trials, best first; never more than a request shows."""
        return sorted(self._scored(), key=lambda trial: -trial.score)[: self._settings.bank_size]

    def _scored(self) -> list[ConceptTrial]:
        return [trial for trial in self.trials if trial.outcome == "scored"]

    def _note(self, trial: ConceptTrial) -> None:
        self.trials.append(trial)
        where: Mapping[str, object] = {"layer": self.target.layer, "unit": self.target.unit}
        number = f"{self.target.layer} {self.target.unit} {len(self.trials)}"
        known = {name: value for name, value in asdict(trial).items() if value == value}  # noqa: PLR0124 - no NaN in JSON
        self._log.add("trial", number, {**where, **known})


def _error(trial: ConceptTrial) -> float:
    return trial.standard_error if math.isfinite(trial.standard_error) else 0.0


def control_statistics(activations: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and unbiased standard deviation of each unit.

    Args:
        activations: Activations on the control images, shape ``(images, units)``.

    Returns:
        Shape ``(units,)`` each, float64.

    """
    exact = activations.double()
    deviation = torch.where(exact.amin(dim=0) == exact.amax(dim=0), 0.0, exact.std(dim=0))
    return exact.mean(dim=0), deviation
