"""Labels of an open vocabulary for chosen neurons: searched with one bank for all, judged by other images."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import numpy as np
from torch import Tensor

from lightning_dissect.checks import check_positive
from lightning_dissect.encoders.progress import Progress, silent
from lightning_dissect.fingerprint import fingerprint
from lightning_dissect.label_refinement import LabelRefinement, RefinementCost
from lightning_dissect.probe import ConceptVocabulary, resolve_vocabulary
from lightning_dissect.refine.bank import ConceptBank, NeuronReader
from lightning_dissect.refine.base import (
    GENERATORS,
    PROPOSERS,
    ConceptProposer,
    ImageGenerator,
    NeedsSurroundings,
    Releasable,
    Surroundings,
)
from lightning_dissect.refine.judgement import HeldOutJudge, q_values
from lightning_dissect.refine.novelty import novelty
from lightning_dissect.refine.real_images import RealImages
from lightning_dissect.refine.search import (
    AskedProposer,
    LabelSearch,
    RefinementTarget,
    SearchSettings,
    control_statistics,
)
from lightning_dissect.refine.search_log import SearchLog
from lightning_dissect.refine.spending import SearchBudget, Spending
from lightning_dissect.types import Picture


@dataclass(frozen=True)
class Refined:
    """What the search for labels found.

    Args:
        labels: What was found for each neuron that the budget reached, by layer and unit.
        pictures: Small pictures of the images that speak for it, by content id, each ``(height, width, 3)`` uint8.

    """

    labels: dict[tuple[str, int], LabelRefinement]
    pictures: dict[int, Picture] = field(repr=False)


@dataclass(frozen=True)
class ConceptRefinement:
    """Searches for labels beyond the vocabulary: concepts are proposed, drawn, measured, and proposed again.

    The search begins with what the dissection says of a neuron, with concepts that were drawn for other neurons and
    with random ones. Then a proposer, who sees the best scores so far, names others; a last step sums up. A concept
    scores the mean activation of the neuron on its images, in standard deviations of the control images. An image that
    is made once is measured at all neurons, so that a concept is a free lookup for all others.

    Where there is an encoder, at most ``further_senses`` words are tried after that which explain real images that
    activate the neuron and show nothing of what was found. The answer is one of the concepts that activate the neuron
    as much as the best does, but for an error, or a superclass above them: the widest that the neuron follows over all
    real images, see `widest_as_good`.

    The answer, and the label that the search began with, are judged by other images (`cosy_score`), held
    against control images that the search has not seen. Where chance would do as well, no label is given.

    Args:
        proposer: Who names concepts: ``"vocabulary"``, which needs no model, ``"chat:FOLDER"`` or an object.
        generator: Who makes images of them: ``"retrieval"``, which finds real ones, ``"diffusion:MODEL"`` or an
            object.
        words: Concepts beyond the vocabulary of the labels, with what is above them: all that `resolve_vocabulary`
            takes. The proposer ``"vocabulary"`` names them; superclasses and what explains real images are looked for
            among them, and among the vocabulary.
        judging_generator: Who makes the images by which results are judged; by default the same.
        steps: Steps before the last, which sums up; 0 only judges the concepts that the search begins with.
        proposals: Concepts asked for in a step.
        start_concepts: Most concepts of the dissection that the search begins with.
        bank_concepts: Most concepts drawn for other neurons that it begins with.
        random_concepts: Concepts of the vocabulary drawn at random, the same for all neurons.
        further_senses: Most concepts tried after the search for real images that activate the neuron and show nothing
            of what was found.
        bank_size: Scored concepts that the proposer is shown.
        patience: Steps in a row without a better concept after which a search ends.
        retries: Times that the proposer is asked again in a step where it named nothing new.
        search_images: Images of a concept that is tried.
        judging_images: Images of a concept that is judged.
        false_discovery_rate: Share of wrong discoveries that is put up with; labels that would need more are withheld.
        budget: What all of it may take.
        seed: What random concepts, and proposers that draw, depend on.

    Raises:
        ValueError:
            If a name is unknown, ``words`` hold none, or a number is out of range.

    References:
        Zaigrajew et al., LINE, 2026. https://arxiv.org/abs/2604.08039

    """

    proposer: str | ConceptProposer = "vocabulary"
    generator: str | ImageGenerator = "retrieval"
    words: str | Sequence[str] | ConceptVocabulary | None = None
    judging_generator: str | ImageGenerator | None = None
    steps: int = 10
    proposals: int = 1
    start_concepts: int = 3
    bank_concepts: int = 3
    random_concepts: int = 5
    further_senses: int = 2
    bank_size: int = 40
    patience: int = 2
    retries: int = 2
    search_images: int = 5
    judging_images: int = 30
    false_discovery_rate: float = 0.05
    budget: SearchBudget = field(default_factory=SearchBudget)
    seed: int = 0

    def __post_init__(self) -> None:
        counts = ("proposals", "start_concepts", "bank_size", "patience", "search_images", "judging_images")
        for name in counts:
            check_positive(name, getattr(self, name))
        for name in ("steps", "bank_concepts", "random_concepts", "further_senses", "retries"):
            if getattr(self, name) < 0:
                raise ValueError(f"Expected `{name}` to be 0 or more but got {getattr(self, name)}.")
        if not 0 < self.false_discovery_rate < 1:
            raise ValueError(
                f"Expected `false_discovery_rate` to be between 0 and 1 but got {self.false_discovery_rate}."
            )
        if self.words is not None:
            resolve_vocabulary(self.words)
        self.makers()

    def refine(
        self,
        targets: Sequence[RefinementTarget],
        reader: NeuronReader,
        surroundings: Surroundings,
        *,
        dirpath: Path | None = None,
        progress: Progress = silent,
    ) -> Refined:
        """Search for the labels of neurons.

        Args:
            targets: The neurons, those first that matter most if the budget does not reach all.
            reader: How they answer to images.
            surroundings: Vocabulary, real images and embeddings.
            dirpath: Folder for the history of the search, ``history.jsonl``, and the images that are made; a search
                that was killed goes on from there.
            progress: Told what is being done, how much of it is done and how much there is.

        Raises:
            ValueError:
                If a target is not recorded, or what proposer or generator need is missing.

        """
        makers = self.makers()
        try:
            return self._refined(targets, reader, surroundings, makers, dirpath=dirpath, progress=progress)
        finally:
            for maker in makers:
                if isinstance(maker, Releasable):
                    maker.release()

    def _refined(
        self,
        targets: Sequence[RefinementTarget],
        reader: NeuronReader,
        surroundings: Surroundings,
        makers: tuple[ConceptProposer, ImageGenerator, ImageGenerator],
        *,
        dirpath: Path | None,
        progress: Progress,
    ) -> Refined:
        proposer, generator, judging = makers
        if self.words is not None:
            surroundings = replace(surroundings, words=resolve_vocabulary(self.words))
        for maker in makers:
            if isinstance(maker, NeedsSurroundings):
                maker.enter(surroundings)
        bank = ConceptBank(
            {"search": generator, "judging": judging},
            reader,
            {"search": self.search_images, "judging": self.judging_images},
            surroundings.pool,
            None if dirpath is None else dirpath / "images",
        )
        _check_targets(targets, bank)
        running = _Running(self, bank, surroundings, progress)
        labels = running.judge(running.search(targets, proposer, dirpath))
        shown = {image_id for found in labels.values() for image_id in found.shown_images}
        return Refined(labels, bank.pictures(sorted(shown)))

    @property
    def settings(self) -> SearchSettings:
        """How the search for one label goes about it."""
        return SearchSettings(**{setting.name: getattr(self, setting.name) for setting in fields(SearchSettings)})

    def makers(self) -> tuple[ConceptProposer, ImageGenerator, ImageGenerator]:
        """Return who names concepts, who makes images to search with, and who makes those to judge with."""
        generator = GENERATORS.resolve(self.generator)
        judging = generator if self.judging_generator is None else GENERATORS.resolve(self.judging_generator)
        return PROPOSERS.resolve(self.proposer), generator, judging


class _Running:
    """One search for the labels of several neurons."""

    def __init__(
        self, chosen: ConceptRefinement, bank: ConceptBank, surroundings: Surroundings, progress: Progress
    ) -> None:
        self._chosen = chosen
        self._bank = bank
        self._surroundings = surroundings
        self._progress = progress
        self._spending = Spending(chosen.budget)
        self._control: dict[str, tuple[Tensor, Tensor]] = {}
        self._real = RealImages(bank, surroundings)

    def search(
        self, targets: Sequence[RefinementTarget], proposer: ConceptProposer, dirpath: Path | None
    ) -> list[LabelSearch]:
        """Search for the label of each neuron that the budget reaches, then look what others have found for it."""
        settings = self._chosen.settings
        around = self._surroundings
        plan = repr((settings, self._chosen.further_senses, targets))
        origin = fingerprint(self._bank.origin, proposer.fingerprint(), around.lexicon.concepts, plan)
        log = SearchLog(None if dirpath is None else dirpath / "history.jsonl", origin)
        asked = AskedProposer(proposer, log, self._spending)
        at_random = self._at_random()
        for_judging = 2 * self._chosen.judging_images
        searches: list[LabelSearch] = []
        for target in targets:
            if not self._spending.affords(images=for_judging):
                break
            self._spending.reserved += for_judging
            search = LabelSearch(
                target,
                self._bank,
                control=self._control_of(target.layer),
                settings=settings,
                proposer=asked,
                log=log,
                spending=self._spending,
            )
            search.run(at_random)
            searches.append(search)
            self._progress("Searching for labels", len(searches), len(targets))
        for search in searches:
            search.look_through_bank()
            if settings.steps:
                self._look_at_rest(search)
            self._settle(search)
        return searches

    def judge(self, searches: Sequence[LabelSearch]) -> dict[tuple[str, int], LabelRefinement]:
        """Judge what was found, and the labels that the searches began with, by images that they have not seen."""
        judge = HeldOutJudge(self._bank, self._chosen.seed)
        judged = []
        for search in searches:
            judged.append(self._judged(search, judge))
            self._progress("Judging labels", len(judged), len(searches))
        rates = q_values([found.judged for found in judged])
        decided = (self._decided(found, rate) for found, rate in zip(judged, rates, strict=True))
        return {(found.layer, found.unit): found for found in decided}

    def _judged(self, search: LabelSearch, judge: HeldOutJudge) -> LabelRefinement:
        """Return what a search has found and how well its concept, and the first label, describe the neuron."""
        judge.new_images, started, target = 0, self._spending.seconds, search.target
        concept, start = search.answer, next(iter(target.candidates), "")
        scores = [judge.score(target.layer, target.unit, name) if name else None for name in (concept, start)]
        seconds = search.seconds + self._spending.seconds - started
        return LabelRefinement(
            layer=target.layer,
            unit=target.unit,
            label="",
            concept=concept,
            start=start,
            trials=tuple(search.trials),
            stopped=search.stopped,
            judged=scores[0],
            start_judged=scores[1] if search.is_scorable else None,
            cost=RefinementCost(search.images, judge.new_images, search.calls, search.lookups, seconds),
        )

    def _decided(self, found: LabelRefinement, q_value: float) -> LabelRefinement:
        """Give a neuron its label, unless chance would do as well."""
        if not q_value <= self._chosen.false_discovery_rate:
            return replace(found, q_value=q_value)
        around = self._surroundings
        return replace(
            found,
            label=found.concept,
            q_value=q_value,
            senses=self._real.senses(found.layer, found.unit, found.trials),
            novelty=novelty(found.concept, around.vocabulary, around.cache),
        )

    def _look_at_rest(self, search: LabelSearch) -> None:
        """Try what explains real images that activate the neuron and show nothing that was found so far."""
        target = search.target
        for _ in range(self._chosen.further_senses):
            concept = self._real.unexplained(target.layer, target.unit, search.trials)
            trial = None if concept is None else search.look_at(concept, "unexplained")
            if trial is None or not search.says_meaning(trial):
                break

    def _settle(self, search: LabelSearch) -> None:
        """Settle on a concept of those that activate the neuron as much as the best does, or on one above them."""
        names = [trial.concept for trial in search.good()]
        if not names:
            return
        search.answer = names[0]
        if self._chosen.steps:
            answer = self._real.answer(search.target.layer, search.target.unit, names)
            search.answer = answer if search.look_at(answer, "superclass") else names[0]

    def _control_of(self, layer: str) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation of each unit on the control images of the search."""
        if layer not in self._control:
            pool = self._bank.pool
            ids = pool.content_ids[pool.rows("search")].tolist()
            self._control[layer] = control_statistics(self._bank.activations(layer, ids))
        return self._control[layer]

    def _at_random(self) -> list[str]:
        """Return the same random concepts for all neurons, so that they cost little."""
        concepts = self._surroundings.vocabulary.concepts
        order = np.random.default_rng(self._chosen.seed).permutation(len(concepts))
        return [concepts[place] for place in order[: self._chosen.random_concepts]]


def _check_targets(targets: Sequence[RefinementTarget], bank: ConceptBank) -> None:
    units = bank.num_units
    for target in targets:
        if target.layer not in units or not 0 <= target.unit < units[target.layer]:
            raise ValueError(
                f"Expected every target to be recorded but got unit {target.unit} of {target.layer!r}. Recorded are "
                f"{', '.join(f'{count} units of {layer}' for layer, count in units.items())}."
            )
