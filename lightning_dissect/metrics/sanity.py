"""What the theoretical and the experimental sanity check share: whose scores are read, and when one has fallen."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lightning_dissect.checks import check_positive
from lightning_dissect.metrics.base import METRICS, MetricTraits, NeuronMetric
from lightning_dissect.metrics.sanity_published import PUBLISHED, Kind, Labels
from lightning_dissect.metrics.sanity_table import SanityResult

Metrics = Iterable[str | NeuronMetric] | Mapping[str, NeuronMetric] | None
"""Metrics by registered name, as objects, as a mapping from names of one's own, or ``None`` for all that there are."""

PAIRS_AT_ONCE = 32
"""Neurons of which all pairs are scored where a metric cannot score each neuron's own concept alone."""


@dataclass(frozen=True)
class Subject:
    """A metric under test.

    Args:
        name: What the table calls it.
        metric: The metric.

    """

    name: str
    metric: NeuronMetric

    @property
    def known(self) -> bool:
        """Whether it is a form of the metric that is registered under this name, so that published results are its."""
        return self.name in METRICS and type(METRICS.resolve(self.name)) is type(self.metric)

    @property
    def note(self) -> str:
        """What the metric says of its published verdict."""
        return self.metric.verdict_note if isinstance(self.metric, MetricTraits) else ""

    @property
    def draws(self) -> bool:
        """Whether the metric has a seed, so that it should be drawn anew as often as the labels are."""
        return "seed" in tunable_fields(self.metric)

    def reseeded(self, draw: int) -> NeuronMetric:
        """Return the metric with the seed of one draw of the labels, or as it is if it has none."""
        if not self.draws:
            return self.metric
        return _replaced(self.metric, seed=vars(self.metric)["seed"] + draw)

    def for_binary(self) -> "Subject":
        """Return the metric for activations that are 0 or 1: without ``alpha``."""
        return (
            replace(self, metric=_replaced(self.metric, alpha=None)) if "alpha" in tunable_fields(self.metric) else self
        )

    def span(self, every_score: Callable[[], Tensor]) -> float:
        """Return the width of the metric's range, negative if lower is better.

        Args:
            every_score: Gives scores from whose finite values the range is taken where the metric states none.

        """
        low, high = getattr(self.metric, "score_range", (-math.inf, math.inf))
        if not math.isfinite(high - low):
            scores = every_score()
            finite = scores[scores.isfinite()]
            low, high = (finite.amin().item(), finite.amax().item()) if len(finite) else (0.0, 0.0)
        width = float(high - low) or 1.0
        return width if getattr(self.metric, "higher_is_better", True) else -width


def subjects_of(metrics: Metrics) -> list[Subject]:
    """Return metrics with their names.

    Args:
        metrics: See `Metrics`. An object goes by the name of its class.

    Raises:
        ValueError:
            If a name is not registered, two metrics have the same name, or there is none.
        TypeError:
            If an object has no method ``score``.

    Example:
        >>> [subject.name for subject in subjects_of(["auc", METRICS.resolve("iou")])]
        ['auc', 'IoU']

    """
    if isinstance(metrics, Mapping):
        subjects = [Subject(name, metric) for name, metric in metrics.items()]
    else:
        subjects = [
            Subject(spec, METRICS.resolve(spec)) if isinstance(spec, str) else Subject(type(spec).__name__, spec)
            for spec in (_all_names() if metrics is None else metrics)
        ]
    for subject in subjects:
        if not isinstance(subject.metric, NeuronMetric):
            raise TypeError(
                f"Expected `metrics` to have a method `score` each but got {type(subject.metric).__name__}."
            )
    names = [subject.name for subject in subjects]
    if not names or len(set(names)) < len(names):
        raise ValueError(
            f"Expected `metrics` to have distinct names but got {names}. Give a mapping from names to metrics."
        )
    return subjects


def tunable_fields(metric: object) -> set[str]:
    """Return the fields of a metric that states its traits; of another one nothing is known but its methods.

    Args:
        metric: The metric.

    Example:
        >>> sorted(tunable_fields(METRICS.resolve("wpmi")))
        ['alpha', 'lam', 'max_bytes']

    """
    return set(getattr(metric, "__dataclass_fields__", ())) if isinstance(metric, MetricTraits) else set()


def check_options(draws: int, epsilon: float) -> None:
    """Check what both kinds of sanity check are given.

    Args:
        draws: How often labels are drawn.
        epsilon: Fall of a score that is too small to count, relative to the range.

    Raises:
        ValueError:
            If ``draws`` is not positive or ``epsilon`` is negative or not finite.

    """
    check_positive("draws", draws)
    if not 0 <= epsilon < math.inf:
        raise ValueError(f"Expected `epsilon` to be 0 or more and finite but got {epsilon}.")


def all_scores(subject: Subject, metric: NeuronMetric, activations: Tensor, presence: Tensor) -> Tensor:
    """Return the scores of all pairs in float64, NaN where they are not finite.

    Args:
        subject: Whom an error is about.
        metric: The metric as it is seeded now.
        activations: Shape ``(images, neurons)``.
        presence: Shape ``(images, concepts)``.

    Returns:
        Shape ``(neurons, concepts)``.

    Raises:
        ValueError:
            If the metric returns another shape.

    """
    scores = metric.score(activations, presence)
    return _checked(subject, scores, (activations.shape[1], presence.shape[1]))


def own_scores(subject: Subject, metric: NeuronMetric, activations: Tensor, presence: Tensor) -> Tensor:
    """Return the score of each neuron with its own concept in float64, NaN where it is not finite.

    Args:
        subject: Whom an error is about.
        metric: The metric as it is seeded now; its ``score_pairs`` is asked if it has one.
        activations: Shape ``(images, neurons)``.
        presence: Presence of each neuron's concept, shape ``(images, neurons)``.

    Returns:
        Shape ``(neurons,)``.

    Raises:
        ValueError:
            If the metric returns another shape.

    """
    score_pairs = getattr(metric, "score_pairs", None)
    if score_pairs is not None:
        return _checked(subject, score_pairs(activations, presence), (activations.shape[1],))
    blocks = zip(*(torch.split(each, PAIRS_AT_ONCE, dim=1) for each in (activations, presence)), strict=True)
    return torch.cat([all_scores(subject, metric, some, own).diagonal() for some, own in blocks])


def result_of(
    subject: Subject, kind: Kind, labels: Labels, changes: Tensor, *, epsilon: float, frequency: float | None = None
) -> SanityResult:
    """Return one line of a table from changes of the score.

    A change that is NaN is left out and counted. The standard errors take cases as independent and draws of the same
    case as not.

    Args:
        subject: The metric.
        kind: Kind of check.
        labels: What was done to the labels.
        changes: Changes of the score relative to its range, shape ``(cases, draws)``.
        epsilon: Fall that is too small to count.
        frequency: Share of the images that have the concept, if there is one for all cases.

    """
    undefined = changes.isnan()
    falls = (changes < -epsilon).to(torch.float64).masked_fill(undefined, torch.nan)
    share, share_error = _mean_and_error(falls)
    change, change_error = _mean_and_error(changes)
    return SanityResult(
        metric=subject.name,
        kind=kind,
        labels=labels,
        frequency=frequency,
        share=share,
        share_error=share_error,
        change=change,
        change_error=change_error,
        cases=int((~undefined).any(dim=1).sum()),
        undefined=int(undefined.sum()),
        published=PUBLISHED.get((subject.name, labels, kind)) if subject.known else None,
        note=subject.note,
    )


def _all_names() -> list[str]:
    """Return the names of all registered metrics, those of the framework first and in the order of its tables."""
    published = dict.fromkeys(metric for metric, _, _ in PUBLISHED)
    return [*published, *(name for name in METRICS if name not in published)]


def _mean_and_error(values: Tensor) -> tuple[float, float]:
    means = values.nanmean(dim=1)
    means = means[~means.isnan()]
    if len(means) < 2:
        return means.mean().item(), math.nan
    return means.mean().item(), means.std().item() / math.sqrt(len(means))


def _checked(subject: Subject, scores: Tensor, shape: tuple[int, ...]) -> Tensor:
    if tuple(scores.shape) != shape:
        raise ValueError(
            f"Expected the scores of the metric {subject.name!r} to have shape {shape} but got {tuple(scores.shape)}."
        )
    scores = scores.to(torch.float64)
    return scores.masked_fill(~scores.isfinite(), torch.nan)


def _replaced(metric: NeuronMetric, **settings: int | None) -> NeuronMetric:
    return replace(metric, **settings)  # type: ignore[type-var]
