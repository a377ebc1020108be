"""Meta-AUPRC: how well a metric tells the right concept of a neuron from all others."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

import torch
from torch import Tensor

from lightning_dissect.checks import check_positive, check_score_inputs
from lightning_dissect.metrics.average_precision import own_average_precision
from lightning_dissect.metrics.base import NeuronMetric
from lightning_dissect.metrics.ranks import counts_above
from lightning_dissect.metrics.sanity import Metrics, all_scores, subjects_of, tunable_fields
from lightning_dissect.metrics.top_and_random import TopAndRandomMetric

ALPHAS = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Shares of active images among which the best is chosen, as published."""

LAMS = tuple(step / 100 for step in range(101))
"""Weights of the concept's frequency among which the best is chosen, as published."""

Settings = tuple[tuple[str, float], ...]
"""Names and values of hyper-parameters."""


def meta_auprc(scores: Tensor, own_concepts: Tensor) -> float:
    r"""Return the average precision of all pairs of neuron and concept, ranked by score; own concepts are relevant.

    .. math::
        \frac{1}{K} \sum_{k} \frac{\#\{(j, t_j) : s_{j t_j} \ge s_{k t_k}\}}{\#\{(j, m) : s_{jm} \ge s_{k t_k}\}}

    It is one ranking of all :math:`K \times M` pairs, so scores must compare between neurons. Pairs of equal score
    enter together. Undefined scores (NaN) come last, all tied.

    Args:
        scores: Shape ``(neurons, concepts)``.
        own_concepts: Index of each neuron's right concept, shape ``(neurons,)``.

    Raises:
        ValueError:
            If the shapes do not fit or an index is out of range.

    Example:
        >>> meta_auprc(torch.tensor([[0.9, 0.3], [0.8, 0.7]]), torch.tensor([0, 1]))
        0.8333333333333333

    References:
        Oikarinen, Yan and Weng, Evaluating Neuron Explanations, ICML 2025, section 5. https://arxiv.org/abs/2506.05774

    """
    if scores.ndim != 2 or 0 in scores.shape:
        raise ValueError(f"Expected `scores` to be a non-empty 2-D tensor but got shape {tuple(scores.shape)}.")
    _check_own_concepts(own_concepts, *scores.shape)
    relevant = torch.zeros(scores.shape, dtype=torch.bool, device=scores.device)
    relevant[torch.arange(len(scores), device=scores.device), own_concepts] = True
    ranking = scores.nan_to_num(nan=-math.inf, posinf=math.inf, neginf=-math.inf).flatten()[None]
    return own_average_precision(relevant.flatten()[None], counts_above(ranking)).item()


@dataclass(frozen=True)
class SplitChoice:
    """What one split of the neurons chose, and what it is worth.

    Args:
        settings: Names and values of the hyper-parameters that were best on the validation neurons.
        validation: Meta-AUPRC of the validation neurons.
        test: Meta-AUPRC of the other neurons.

    """

    settings: Settings
    validation: float
    test: float


@dataclass(frozen=True)
class MetaAUPRCResult:
    """One metric over several splits.

    Args:
        metric: Name of the metric.
        choices: One per split; the first is the published form of the split.

    Example:
        >>> choices = (SplitChoice((("alpha", 0.1),), 0.9, 0.8), SplitChoice((("alpha", 0.5),), 0.9, 0.6))
        >>> result = MetaAUPRCResult("iou", choices)
        >>> result.value, round(result.mean, 2), round(result.spread, 3), result.chosen
        (0.8, 0.7, 0.141, {(('alpha', 0.1),): 1, (('alpha', 0.5),): 1})

    """

    metric: str
    choices: tuple[SplitChoice, ...]

    @property
    def value(self) -> float:
        """Meta-AUPRC of the test neurons of the first split."""
        return self.choices[0].test

    @property
    def mean(self) -> float:
        """Mean Meta-AUPRC of the test neurons over splits."""
        return sum(choice.test for choice in self.choices) / len(self.choices)

    @property
    def spread(self) -> float:
        """Standard deviation of it over splits, NaN for a single one."""
        if len(self.choices) < 2:
            return math.nan
        return math.sqrt(sum((choice.test - self.mean) ** 2 for choice in self.choices) / (len(self.choices) - 1))

    @property
    def chosen(self) -> dict[Settings, int]:
        """How many splits chose each of the settings, the most frequent first."""
        return dict(Counter(choice.settings for choice in self.choices).most_common())


@dataclass(frozen=True)
class MetaAUPRCTable:
    """Metrics compared on neurons whose function is known.

    Args:
        results: One per metric.

    """

    results: tuple[MetaAUPRCResult, ...]

    def __getitem__(self, metric: str) -> MetaAUPRCResult:
        return next(result for result in self.results if result.metric == metric)

    def to_markdown(self) -> str:
        """Return one row per metric, best first, with what was chosen in each split."""
        lines = [
            "| metric | Meta-AUPRC | settings | mean over splits | chosen in other splits |",
            "|---|---|---|---|---|",
        ]
        for result in sorted(self.results, key=lambda result: -result.value):
            first = result.choices[0].settings
            others = {settings: count for settings, count in result.chosen.items() if settings != first}
            named = ", ".join(f"{_text(settings)} ({count})" for settings, count in others.items())
            spread = "" if math.isnan(result.spread) else f" ± {result.spread:.3f}"
            lines.append(
                f"| `{result.metric}` | {result.value:.3f} | {_text(first)} | {result.mean:.3f}{spread} | {named} |"
            )
        return "\n".join(lines)


def compare_metrics(
    activations: Tensor,
    concept_presence: Tensor,
    own_concepts: Tensor,
    metrics: Metrics = None,
    *,
    splits: int = 20,
    validation_share: float = 0.05,
    seed: int = 0,
    alphas: Sequence[float] = ALPHAS,
    lams: Sequence[float] = LAMS,
) -> MetaAUPRCTable:
    """Compare metrics by their `meta_auprc` on neurons whose function is known.

    A split shuffles the neurons and takes the first ``validation_share`` of them for validation. The hyper-parameters
    of a metric, ``alpha`` and ``lam`` where it states its traits and has them, are those of the highest Meta-AUPRC of
    the validation neurons, the first of equals; the others are for the test. ``alpha`` of correlations on top and
    random images stays as it is, as published. Concepts are not split.

    As published there is one split and 5 % validate, which may be five neurons: how much the choice then is a matter of
    luck can be seen from the other splits.

    Args:
        activations: Pooled activations, shape ``(images, neurons)``.
        concept_presence: Probability that a concept is in an image, shape ``(images, concepts)``.
        own_concepts: Index of each neuron's right concept, shape ``(neurons,)``.
        metrics: Names or metric objects, a mapping from names to objects, or ``None`` for all registered metrics.
        splits: Number of splits; that of number i has the seed ``seed`` + i.
        validation_share: Share of the neurons that choose.
        seed: Seed of the first split.
        alphas: Values of ``alpha`` to choose from.
        lams: Values of ``lam`` to choose from.

    Raises:
        ValueError:
            If the shapes do not fit, ``splits`` is not positive, there are less than two neurons, or
            ``validation_share`` is not between 0 and 1 or leaves none for the test.
        TypeError:
            If a metric has no method ``score``.

    Example:
        >>> concepts = torch.rand(500, 40, generator=torch.Generator().manual_seed(0)) < 0.1
        >>> table = compare_metrics(1.0 * concepts, concepts, torch.arange(40), ["iou"], splits=2, alphas=[0.1, 0.5])
        >>> round(table["iou"].value, 3), len(table["iou"].choices)
        (1.0, 2)

    References:
        Oikarinen, Yan and Weng, Evaluating Neuron Explanations, ICML 2025, section 5. https://arxiv.org/abs/2506.05774

    """
    check_score_inputs(activations, concept_presence, name="concept_presence")
    _check_own_concepts(own_concepts, activations.shape[1], concept_presence.shape[1])
    check_positive("splits", splits)
    parts = [_split(activations.shape[1], validation_share, seed + split) for split in range(splits)]
    results = []
    for subject in subjects_of(metrics):
        best: list[SplitChoice | None] = [None] * splits
        for settings in _grid(subject.metric, alphas, lams):
            scores = all_scores(subject, _set(subject.metric, settings), activations, concept_presence)
            for split, (validating, testing) in enumerate(parts):
                value = meta_auprc(scores[validating], own_concepts[validating])
                leader = best[split]
                if leader is None or value > leader.validation:
                    test = meta_auprc(scores[testing], own_concepts[testing])
                    best[split] = SplitChoice(settings, value, test)
        results.append(MetaAUPRCResult(subject.name, tuple(choice for choice in best if choice is not None)))
    return MetaAUPRCTable(tuple(results))


def _check_own_concepts(own_concepts: Tensor, neurons: int, concepts: int) -> None:
    if own_concepts.shape != (neurons,) or own_concepts.is_floating_point() or own_concepts.dtype == torch.bool:
        raise ValueError(
            f"Expected `own_concepts` to hold one index per neuron, shape ({neurons},), "
            f"but got {own_concepts.dtype} of shape {tuple(own_concepts.shape)}."
        )
    if own_concepts.amin() < 0 or own_concepts.amax() >= concepts:
        raise ValueError(
            f"Expected `own_concepts` to be indices of {concepts} concepts "
            f"but got values from {own_concepts.amin().item()} to {own_concepts.amax().item()}."
        )


def _split(neurons: int, validation_share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Return the neurons that choose and those of the test, each in ascending order."""
    if not 0 < validation_share < 1:
        raise ValueError(f"Expected `validation_share` to be between 0 and 1 but got {validation_share}.")
    if neurons < 2:
        raise ValueError(f"Expected at least 2 neurons, of which some choose, but got {neurons}.")
    shuffled = torch.randperm(neurons, generator=torch.Generator().manual_seed(seed))
    validating = min(max(1, int(validation_share * neurons)), neurons - 1)
    return shuffled[:validating].sort().values, shuffled[validating:].sort().values


def _grid(metric: NeuronMetric, alphas: Sequence[float], lams: Sequence[float]) -> Iterator[Settings]:
    """Give all settings of the hyper-parameters that a metric has, a single empty one if it has none."""
    names = tunable_fields(metric)
    if isinstance(metric, TopAndRandomMetric) or getattr(metric, "alpha", None) is None:
        names.discard("alpha")
    values = {"alpha": alphas, "lam": lams}
    tuned = [name for name in values if name in names]
    return (tuple(zip(tuned, chosen, strict=True)) for chosen in product(*(values[name] for name in tuned)))


def _set(metric: NeuronMetric, settings: Settings) -> NeuronMetric:
    return replace(metric, **dict(settings)) if settings else metric  # type: ignore[type-var]


def _text(settings: Settings) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in settings)
