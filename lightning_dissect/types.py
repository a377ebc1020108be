"""The frozen records that travel between stages."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from lightning_dissect.kept_activations import KeptActivations
from lightning_dissect.label_evaluation import EvaluatorDescription, JudgedImage, LabelEvaluation, summarise_evaluations

Picture = np.ndarray[Any, np.dtype[np.uint8]]
Embedding = np.ndarray[Any, np.dtype[np.float32]]
NeuronStatus = Literal["labelled", "ambiguous", "no_clear_function", "dead", "non_finite"]
STATUSES: tuple[NeuronStatus, ...] = get_args(NeuronStatus)
Specificity = Literal["fits", "too specific", "too generic", "beside", "undecided"]
Relation = Literal["parent", "child", "sibling"]

NAN = float("nan")


@dataclass(frozen=True)
class ScoredConcept:
    """A concept with the two numbers that speak for it.

    Args:
        concept: The concept as it stands in the vocabulary.
        score: Value of the similarity that ranks labels; its range depends on the similarity.
        quality: Pearson correlation of the neuron's activations with the concept's presence, in ``[-1, 1]``.

    """

    concept: str
    score: float
    quality: float


@dataclass(frozen=True)
class TopImage:
    """One of the images that activate a neuron most.

    Args:
        sample_id: Id of the image in the probe.
        activation: Pooled activation of the neuron on it.

    """

    sample_id: int
    activation: float


@dataclass(frozen=True)
class MetricDescription:
    """What reports must know of a metric that judges labels.

    Args:
        name: What keys and columns call it.
        form: The metric with its parameters, as people read it.
        higher_is_better: Direction of the score.
        score_range: Lowest and highest possible score.
        passes_missing_labels: Whether the score falls when a label misses half of its images; ``None`` if unknown.
        passes_extra_labels: Whether the score falls when a label gets as many wrong images; ``None`` if unknown.
        note: What these verdicts hide, empty if nothing.

    Example:
        >>> MetricDescription("recall", passes_missing_labels=True, passes_extra_labels=False).failures
        ('does not fall reliably when a label gets as many wrong images: fails the extra-labels test',)

    """

    name: str
    form: str = ""
    higher_is_better: bool = True
    score_range: tuple[float, float] = (-float("inf"), float("inf"))
    passes_missing_labels: bool | None = None
    passes_extra_labels: bool | None = None
    note: str = ""

    @property
    def failures(self) -> tuple[str, ...]:
        """The sanity checks that it fails, each as the end of a sentence about the score."""
        verdicts = {
            "when a label misses half of its images: fails the missing-labels test": self.passes_missing_labels,
            "when a label gets as many wrong images: fails the extra-labels test": self.passes_extra_labels,
        }
        return tuple(f"does not fall reliably {test}" for test, passes in verdicts.items() if passes is False)


@dataclass(frozen=True)
class LabelTrust:
    """How far the label of a neuron can be trusted.

    Args:
        interval: Where the quality of the label lies, with the confidence that was asked for.
        contenders: Candidates that may be the best, in the order of the candidates.
        p_chance: Probability of so good a best score if the images were shuffled.
        q_chance: Lowest false-discovery rate in the layer at which chance is ruled out.
        explained: Share of the neuron that concepts explain beyond what untrained networks see, at most 1; NaN where
            there are no untrained networks to compare with, here and below.
        p_untrained: Probability that concepts explain so much of a unit of an untrained network.
        q_untrained: Lowest false-discovery rate in the layer at which an untrained network is ruled out.
        stability: Probability that two probes of as many other images agree on the best candidate; NaN if unknown.

    """

    interval: tuple[float, float]
    contenders: tuple[str, ...]
    p_chance: float
    q_chance: float
    explained: float = NAN
    p_untrained: float = NAN
    q_untrained: float = NAN
    stability: float = NAN


@dataclass(frozen=True)
class ActivationHistogram:
    """How the activations of a neuron are spread over the images of the probe.

    Args:
        low: Lower edge of the first bin, the least activation.
        high: Upper edge of the last bin, the largest activation.
        counts: Images in each bin of equal width.

    """

    low: float
    high: float
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Relative:
    """What stands next to a label in the hierarchy, and how much better it describes the neuron.

    Args:
        name: Its name.
        relation: Whether it is above, below or beside the label.
        correlation: Correlation of the neuron with its presence; NaN where undefined, here and below.
        difference: How much higher that is than the correlation with the label's presence.
        low: Lower end of the interval of the difference.
        high: Upper end.

    """

    name: str
    relation: Relation
    correlation: float
    difference: float
    low: float
    high: float


@dataclass(frozen=True)
class LabelSpecificity:
    """Whether a label says neither too much nor too little of its neuron.

    Args:
        label: The label.
        verdict: ``"too specific"`` if the parent describes the neuron significantly better, ``"too generic"`` if a
            child does, ``"beside"`` if a sibling does; of several that do, the one that describes it best decides.
            ``"fits"`` if the parent and all children describe it significantly worse. Else ``"undecided"``.
        correlation: Correlation of the neuron with the label's presence.
        parent: What is above the label, ``None`` if nothing is.
        child: What is below the label and describes the neuron best, ``None`` if nothing is.
        sibling: What has the same parent and describes the neuron best, ``None`` if nothing has.

    """

    label: str
    verdict: Specificity
    correlation: float
    parent: Relative | None
    child: Relative | None
    sibling: Relative | None


@dataclass(frozen=True)
class NeuronLabel:
    """What one dissection says of one neuron.

    Args:
        layer: Full module name of the layer.
        unit: Channel or feature index within the layer, from 0.
        status: ``"labelled"``; ``"ambiguous"`` if several candidates may be the best; ``"no_clear_function"`` if chance
            or an untrained network would do as well, so that the label is withheld; ``"dead"`` if the activation is the
            same on every image; ``"non_finite"`` if an activation is NaN or infinite. The last two have no candidates.
        candidates: The best concepts, best first: the label, then the runner-ups.
        top_images: The most activating images, most activating first; ties in the order of the sample ids.
        trust: How far the label can be trusted, ``None`` where nobody asked.
        metrics: What other metrics say of the label, by the name of the metric; NaN where undefined.
        specificity: On which side the label errs, ``None`` where there is no label or the vocabulary has no hierarchy.
        judged_images: The images by which evaluators judge the label, empty if nobody is to judge it.
        evaluations: What evaluators say of the label, by the name of the evaluator.
        histogram: How its activations are spread, ``None`` if an activation is not finite.

    Example:
        >>> neuron = NeuronLabel("fc", 7, "labelled", (ScoredConcept("cat", 0.5, 0.4), ScoredConcept("dog", 0.2, 0.1)))
        >>> neuron.label, neuron.quality, [concept.concept for concept in neuron.runner_ups]
        ('cat', 0.4, ['dog'])
        >>> NeuronLabel("fc", 8, "dead").label
        ''

    """

    layer: str
    unit: int
    status: NeuronStatus
    candidates: tuple[ScoredConcept, ...] = ()
    top_images: tuple[TopImage, ...] = ()
    trust: LabelTrust | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    specificity: LabelSpecificity | None = None
    judged_images: tuple[JudgedImage, ...] = ()
    evaluations: Mapping[str, LabelEvaluation] = field(default_factory=dict)
    histogram: ActivationHistogram | None = None

    @property
    def label(self) -> str:
        """The concept given to the neuron, empty if there is none or it is withheld."""
        withheld = not self.candidates or self.status == "no_clear_function"
        return "" if withheld else self.candidates[0].concept

    @property
    def title(self) -> str:
        """The label, or in brackets why there is none."""
        return self.label or f"({self.status.replace('_', ' ')})"

    @property
    def score(self) -> float:
        """Value of the similarity for the best candidate, NaN if there is none."""
        return self.candidates[0].score if self.candidates else float("nan")

    @property
    def quality(self) -> float:
        """Correlation of the neuron with the presence of its best candidate, NaN if there is none."""
        return self.candidates[0].quality if self.candidates else float("nan")

    @property
    def runner_ups(self) -> tuple[ScoredConcept, ...]:
        """The candidates after the best one."""
        return self.candidates[1:]


@dataclass(frozen=True)
class LayerDissection:
    """All neurons of one layer.

    Args:
        layer: Full module name of the layer.
        neurons: One record per unit, in the order of the units.
        undefined: How many labels a metric could not judge, by the metric's name and by the reason.

    """

    layer: str
    neurons: tuple[NeuronLabel, ...]
    undefined: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def metrics(self) -> dict[str, float]:
        """The layer in numbers, see `summarise`."""
        return summarise(self.neurons)


@dataclass(frozen=True)
class DissectionReport:
    """One dissection of a model at one validation.

    Args:
        epoch: Epoch of the training, from 0.
        step: Optimiser steps taken so far.
        cycle: Number of dissections before this one in the same run.
        layers: One record per layer, in the order in which the layers were asked for.
        num_images: Images of the probe that were used.
        settings: What the numbers depend on: similarity, encoder, vocabulary and so on, as plain text.
        images: Pictures of the images that the report shows, by sample id, each ``(height, width, 3)`` uint8.
        dirpath: Folder for what writers put on disk, ``None`` if nothing may be written.
        logger_step: Step under which the loggers get this report; ``None`` means ``step``.
        name: What tells this dissection from others of the same run; keys in loggers begin with it.
        label_metrics: The metrics that judged the labels, in the order in which they were asked for.
        evaluators: The evaluators that judged the labels, in the order in which they were asked for.
        reference_images: Sample ids of images drawn at random, which evaluators compare with.
        concept_embeddings: Direction of each candidate among the concepts of the vocabulary, whose mean is taken away,
            norm 1, shape ``(dimensions,)``; empty without an encoder. It does not count when reports are compared.
        activations: Activations by which units can be matched with those of another model; they do not count either.

    Example:
        >>> layer = LayerDissection("fc", (NeuronLabel("fc", 0, "dead"),))
        >>> report = DissectionReport(epoch=2, step=300, cycle=2, layers=(layer,), num_images=64)
        >>> report.metrics["neurons"], report.metrics["dead"]
        (1.0, 1.0)

    """

    epoch: int
    step: int
    cycle: int
    layers: tuple[LayerDissection, ...]
    num_images: int
    settings: Mapping[str, str] = field(default_factory=dict)
    images: Mapping[int, Picture] = field(default_factory=dict)
    dirpath: Path | None = None
    logger_step: int | None = None
    name: str = "dissection"
    label_metrics: tuple[MetricDescription, ...] = ()
    evaluators: tuple[EvaluatorDescription, ...] = ()
    reference_images: tuple[int, ...] = ()
    concept_embeddings: Mapping[str, Embedding] = field(default_factory=dict, compare=False)
    activations: KeptActivations | None = field(default=None, compare=False)

    @property
    def neurons(self) -> tuple[NeuronLabel, ...]:
        """The neurons of all layers."""
        return tuple(neuron for layer in self.layers for neuron in layer.neurons)

    @property
    def metrics(self) -> dict[str, float]:
        """The whole dissection in numbers, with the keys of `LayerDissection.metrics`."""
        return summarise(self.neurons)


def summarise_metrics(neurons: tuple[NeuronLabel, ...], names: Iterable[str]) -> dict[str, float]:
    """Average what metrics say of labels, and count the labels of which they say nothing.

    Args:
        neurons: Any neurons.
        names: Names of the metrics.

    Returns:
        For each name the mean over the neurons with a finite value, NaN if there is none, and under
        ``<name>_undefined`` how many neurons with a label have none.

    Example:
        >>> cat = (ScoredConcept("cat", 0.5, 0.4),)
        >>> neurons = [NeuronLabel("fc", 0, "labelled", cat, metrics={"f1": value}) for value in (0.5, NAN)]
        >>> summarise_metrics(tuple(neurons), ["f1"])
        {'f1': 0.5, 'f1_undefined': 1.0}

    """
    judged = [neuron.metrics for neuron in neurons if neuron.candidates]
    summary = {}
    for name in names:
        values = [metrics[name] for metrics in judged if np.isfinite(metrics.get(name, NAN))]
        summary[name] = float(np.mean(values)) if values else NAN
        summary[f"{name}_undefined"] = float(len(judged) - len(values))
    return summary


def summarise_evaluators(neurons: tuple[NeuronLabel, ...], names: Iterable[str]) -> dict[str, dict[str, float]]:
    """Average what evaluators say of labels.

    Args:
        neurons: Any neurons.
        names: Names of the evaluators.

    Returns:
        For each name what `summarise_evaluations` says.

    Example:
        >>> evaluations = {"vqa": LabelEvaluation(True, scores=(), answers=())}
        >>> neuron = NeuronLabel("fc", 0, "labelled", evaluations=evaluations)
        >>> summarise_evaluators((neuron,), ["vqa"])["vqa"]["rate"]
        1.0

    """
    return {
        name: summarise_evaluations(
            (neuron.judged_images, neuron.evaluations[name]) for neuron in neurons if name in neuron.evaluations
        )
        for name in names
    }


def summarise(neurons: tuple[NeuronLabel, ...]) -> dict[str, float]:
    """Count neurons by status and average the quality of their best candidates.

    Args:
        neurons: Any neurons.

    Returns:
        ``neurons``; one count for each of `STATUSES`; ``distinct_labels``, which withheld labels do not count for; and
        ``quality``, the mean over all neurons that have candidates, whether their label is withheld or not, so that it
        does not rise because weak labels were withheld. It is NaN if there is none.

    """
    statuses = Counter(neuron.status for neuron in neurons)
    qualities = [neuron.quality for neuron in neurons if np.isfinite(neuron.quality)]
    return {
        "neurons": float(len(neurons)),
        **{status: float(statuses[status]) for status in STATUSES},
        "distinct_labels": float(len({neuron.label for neuron in neurons if neuron.label})),
        "quality": float(np.mean(qualities)) if qualities else NAN,
    }
