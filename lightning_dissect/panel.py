"""The evaluators of a run: draws images for them, asks them and keeps to the time."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, zip_longest

import numpy as np
import torch
from torch import Tensor

from lightning_dissect.concept_matrix import ConceptMatrix
from lightning_dissect.encoders import ImageTextEncoder, Progress, family_of, silent
from lightning_dissect.evaluators import (
    Case,
    Encoded,
    EvaluationPlan,
    Evidence,
    JudgedImageTable,
    LabelEvaluator,
    chosen_evaluators,
    judge,
)
from lightning_dissect.extension_names import form_of
from lightning_dissect.fingerprint import fingerprint
from lightning_dissect.label_evaluation import HIGHEST_DECILE, EvaluatorDescription, JudgedImage, LabelEvaluation
from lightning_dissect.peers import Peers
from lightning_dissect.probe import ConceptVocabulary
from lightning_dissect.recording import NeuronShare
from lightning_dissect.report.evaluator_names import check_evaluator_names
from lightning_dissect.types import DissectionReport, LayerDissection, MetricDescription, NeuronLabel

Place = tuple[int, int]
"""Index of a layer in a report and of a neuron in the layer."""


class EvaluatorPanel:
    """Has evaluators judge labels, of a dissection at hand or of a saved report.

    Args:
        evaluators: Evaluators by the name that reports call them.
        plan: When, how many labels and by which images.
        vocabulary: The concepts that labels are chosen from.
        encoder: What chooses them, if it is an encoder.

    Raises:
        ValueError:
            If a setting does not fit, or a model is missing; no model is loaded to find that out.

    Example:
        >>> from lightning_dissect.evaluators import EmbeddingSimilarity
        >>> vocabulary = ConceptVocabulary(("cat", "dog"))
        >>> try:
        ...     EvaluatorPanel({"similarity": EmbeddingSimilarity()}, EvaluationPlan(), vocabulary, encoder=None)
        ... except ValueError as error:
        ...     print(str(error)[:49])
        Expected labels to be chosen by an encoder, or an

    """

    def __init__(
        self,
        evaluators: Mapping[str, LabelEvaluator],
        plan: EvaluationPlan,
        vocabulary: ConceptVocabulary,
        encoder: ImageTextEncoder | None,
    ) -> None:
        self.evaluators = dict(evaluators)
        self.plan = plan
        self._vocabulary = vocabulary
        self._encoder = encoder
        for evaluator in self.evaluators.values():
            evaluator.check(vocabulary, encoder is not None)

    @property
    def descriptions(self) -> tuple[EvaluatorDescription, ...]:
        """What reports must know of the evaluators, before they have judged."""
        return tuple(
            EvaluatorDescription(
                name=name,
                form=form_of(evaluator),
                family=evaluator.family or self._own_family,
                is_own_witness=(evaluator.family or self._own_family) == self._own_family,
                score=getattr(evaluator, "score_name", "score"),
            )
            for name, evaluator in self.evaluators.items()
        )

    def draw(
        self,
        layer: LayerDissection | None,
        share: NeuronShare,
        sample_ids: Tensor,
        matrix: ConceptMatrix,
        peers: Peers,
    ) -> LayerDissection | None:
        """Draw the images by which some labels of a layer are judged.

        Args:
            layer: The labels on rank 0, ``None`` elsewhere.
            share: The neurons that this process labels.
            sample_ids: Sample id of each image of the dissection, ascending, shape ``(images,)``.
            matrix: Their concept matrix.
            peers: The processes; each must call this.

        Returns:
            The layer with judged images on rank 0, ``None`` elsewhere.

        """
        name, units = peers.broadcast(None if layer is None else (layer.layer, self._chosen(layer))) or ("", [])
        own = [unit for unit in units if share.units.start <= unit < share.units.stop]
        embeddings = matrix.image_factors if matrix.is_factored else None
        if embeddings is not None and not torch.equal(sample_ids, share.sample_ids):
            embeddings = embeddings[torch.searchsorted(sample_ids, share.sample_ids)]
        table = self.plan.images.draw(
            share.activations,
            torch.tensor(own, dtype=torch.int64) - share.units.start,
            share.sample_ids,
            [self._seed(name, unit) for unit in own],
            embeddings,
        )
        tables = peers.gather(table)
        if layer is None or tables is None:
            return None
        drawn = dict(zip(units, JudgedImageTable.cat(tables).records(self.plan.images), strict=True))
        neurons = (replace(neuron, judged_images=drawn.get(neuron.unit, ())) for neuron in layer.neurons)
        return replace(layer, neurons=tuple(neurons))

    def reference(self, sample_ids: Tensor) -> tuple[int, ...]:
        """Draw the images against which percentiles are taken, ascending.

        Args:
            sample_ids: Sample ids of a dissection, ascending, shape ``(images,)``.

        """
        places = self._rng("reference images").permutation(len(sample_ids))[: self.plan.num_reference_images]
        return tuple(sample_ids[torch.from_numpy(np.sort(places))].tolist())

    def encoded(self, report: DissectionReport, sample_ids: Tensor, matrix: ConceptMatrix) -> Encoded | None:
        """Return what the labels' encoder sees of the images that a report shows to evaluators.

        Args:
            report: The report, images drawn.
            sample_ids: Sample id of each image of the dissection, ascending, shape ``(images,)``.
            matrix: Their concept matrix.

        """
        if self._encoder is None or not matrix.is_factored:
            return None
        rows = torch.searchsorted(sample_ids, torch.tensor(images_for_evaluators(report), dtype=torch.int64))
        temperature = self._encoder.temperature
        concepts = (matrix.concept_factors / temperature).cpu()
        return Encoded(matrix.image_factors[rows].cpu(), concepts, temperature)

    def with_top_images(self, report: DissectionReport) -> DissectionReport:
        """Return a saved report in which labels can be judged: by the images drawn for it, else by the top images.

        Where nothing was drawn, all images of the report stand in for images drawn at random.

        Args:
            report: The report with its pictures.

        """
        layers = []
        for layer in report.layers:
            chosen = set(self._chosen(layer))
            neurons = (
                neuron if neuron.judged_images or neuron.unit not in chosen else _judged_by_top_images(neuron)
                for neuron in layer.neurons
            )
            layers.append(replace(layer, neurons=tuple(neurons)))
        reference = report.reference_images or tuple(sorted(report.images))
        return replace(report, layers=tuple(layers), reference_images=reference)

    def evaluate(
        self, report: DissectionReport, encoded: Encoded | None, progress: Progress = silent
    ) -> DissectionReport:
        """Judge the labels for which images were drawn.

        An evaluator that fails says so in its description and keeps no other from judging.

        Args:
            report: The report, images drawn, with their pictures.
            encoded: What `encoded` returned, if anything.
            progress: Told how many labels are judged.

        Returns:
            The report with evaluations, beside those that it has by other evaluators.

        """
        sample_ids = images_for_evaluators(report)
        row_of = {sample_id: row for row, sample_id in enumerate(sample_ids)}
        reference = torch.tensor([row_of[sample_id] for sample_id in report.reference_images], dtype=torch.int64)
        pictures = [report.images.get(sample_id) for sample_id in sample_ids]
        evidence = Evidence(self._vocabulary, pictures, reference, encoded)
        cases = dict(self._cases(report, row_of))
        found: dict[Place, dict[str, LabelEvaluation]] = {place: {} for place in cases}
        descriptions = []
        until = None if self.plan.seconds is None else time.monotonic() + self.plan.seconds
        for number, description in enumerate(self.descriptions):
            started = time.monotonic()
            share = None if until is None else (until - started) / (len(self.evaluators) - number)
            try:
                judged = self._judged(description.name, cases, evidence, share, progress)
            except Exception as error:  # noqa: BLE001 - an evaluator is not worth a dissection
                failure = f"{type(error).__name__}: {error}"
                descriptions.append(replace(description, failure=failure))
                continue
            for place, evaluation in judged.items():
                if evaluation is not None:
                    found[place][description.name] = evaluation
            seconds = (time.monotonic() - started) / len(judged) if judged else np.nan
            descriptions.append(replace(description, seconds=seconds))
        earlier = (judge for judge in report.evaluators if judge.name not in self.evaluators)
        layers = _with_evaluations(report.layers, found)
        return replace(report, layers=layers, evaluators=(*earlier, *descriptions))

    @property
    def _own_family(self) -> str:
        return "annotations" if self._encoder is None else family_of(self._encoder)

    def _judged(
        self,
        name: str,
        cases: Mapping[Place, Case],
        evidence: Evidence,
        seconds: float | None,
        progress: Progress,
    ) -> dict[Place, LabelEvaluation | None]:
        """Have one evaluator judge until the time is over, one portion of labels at least."""
        evaluator, started = self.evaluators[name], time.monotonic()
        found: dict[Place, LabelEvaluation | None] = {}
        try:
            for places in _portions(cases, evaluator.questions_at_once):
                asked = [cases[place] for place in places]
                found |= dict(zip(places, judge(evaluator, asked, evidence, self.plan.votes_needed), strict=True))
                progress(f"Judging labels by {name}", len(found), len(cases))
                if seconds is not None and time.monotonic() - started > seconds:
                    break
        finally:
            evaluator.release()
        return found

    def _chosen(self, layer: LayerDissection) -> list[int]:
        """Return the units whose labels are judged, ascending: the first in an order that never changes."""
        order = self._rng(layer.layer).permutation(len(layer.neurons)).tolist()
        labelled = [layer.neurons[place].unit for place in order if layer.neurons[place].label]
        return sorted(labelled[: self.plan.num_neurons])

    def _cases(self, report: DissectionReport, row_of: Mapping[int, int]) -> Iterator[tuple[Place, Case]]:
        """Yield what is to be judged, layer by turns, so that all layers have their part when time runs out."""
        labels = [tuple({neuron.label: None for neuron in layer.neurons if neuron.label}) for layer in report.layers]
        everywhere = tuple(dict.fromkeys(chain.from_iterable(labels)))
        of_layers = [
            [((index, place), neuron) for place, neuron in enumerate(layer.neurons) if _is_judged(neuron)]
            for index, layer in enumerate(report.layers)
        ]
        for item in chain.from_iterable(zip_longest(*of_layers)):
            if item is not None:
                place, neuron = item
                others = self._others(neuron, labels[place[0]], everywhere)
                rows = tuple(row_of[image.sample_id] for image in neuron.judged_images)
                yield place, Case(neuron.label, others, neuron.judged_images, rows)

    def _others(self, neuron: NeuronLabel, nearby: Sequence[str], everywhere: Sequence[str]) -> tuple[str, ...]:
        """Return labels of other neurons, of those of the same layer as long as there are any."""
        rng, wanted = np.random.default_rng(self._seed(neuron.layer, neuron.unit)), self.plan.num_other_labels
        found: dict[str, None] = {}
        for labels in (nearby, everywhere):
            left = [label for label in labels if label != neuron.label and label not in found]
            found |= {left[place]: None for place in rng.permutation(len(left))[: wanted - len(found)]}
        return tuple(found)

    def _rng(self, what: str) -> np.random.Generator:
        return np.random.default_rng(self._seed(what, 0))

    def _seed(self, what: str, unit: int) -> list[int]:
        return [self.plan.seed, int(fingerprint(what)[:8], 16), unit]


def resolve_panel(
    evaluators: Sequence[str | LabelEvaluator],
    plan: EvaluationPlan | None,
    metrics: Sequence[MetricDescription],
    vocabulary: ConceptVocabulary,
    encoder: ImageTextEncoder | None,
) -> EvaluatorPanel | None:
    """Return the panel that a choice of evaluators stands for, ``None`` if nothing is to be judged.

    Args:
        evaluators: Registered names or objects.
        plan: When, how many labels and by which images. Without evaluators the images are only drawn.
        metrics: The metrics that judge labels, whose names are taken.
        vocabulary: The concepts that labels are chosen from.
        encoder: What chooses them, if it is an encoder.

    Raises:
        ValueError:
            If a name is unknown or taken, a setting does not fit, or a model is missing.
        TypeError:
            If something is no evaluator.

    """
    if not evaluators and plan is None:
        return None
    chosen = chosen_evaluators(evaluators)
    check_evaluator_names(chosen, [metric.name for metric in metrics])
    return EvaluatorPanel(chosen, plan or EvaluationPlan(), vocabulary, encoder)


def images_for_evaluators(report: DissectionReport) -> list[int]:
    """Return the sample ids of all images that evaluators look at, ascending.

    Args:
        report: The report, images drawn.

    """
    judged = {image.sample_id for neuron in report.neurons for image in neuron.judged_images}
    return sorted(judged | set(report.reference_images))


def _judged_by_top_images(neuron: NeuronLabel) -> NeuronLabel:
    images = (JudgedImage(top.sample_id, top.activation, "top", HIGHEST_DECILE, 1.0) for top in neuron.top_images)
    return replace(neuron, judged_images=tuple(images))


def _is_judged(neuron: NeuronLabel) -> bool:
    return bool(neuron.label and neuron.judged_images)


def _portions(cases: Mapping[Place, Case], questions_at_once: int) -> Iterator[list[Place]]:
    """Yield places of cases with about so many questions together, one case at least."""
    portion: list[Place] = []
    questions = 0
    for place, case in cases.items():
        portion.append(place)
        questions += case.num_questions
        if questions >= questions_at_once:
            yield portion
            portion, questions = [], 0
    if portion:
        yield portion


def _with_evaluations(
    layers: Sequence[LayerDissection], found: Mapping[Place, Mapping[str, LabelEvaluation]]
) -> tuple[LayerDissection, ...]:
    return tuple(
        replace(
            layer,
            neurons=tuple(
                replace(neuron, evaluations={**neuron.evaluations, **found.get((index, place), {})})
                for place, neuron in enumerate(layer.neurons)
            ),
        )
        for index, layer in enumerate(layers)
    )
