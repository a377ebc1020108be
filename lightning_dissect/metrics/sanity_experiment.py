"""The experimental sanity checks: recorded neurons whose function is known."""

import math
from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from lightning_dissect.checks import check_score_inputs
from lightning_dissect.metrics.label_changes import extra_labels, label_generator, missing_labels
from lightning_dissect.metrics.sanity import (
    Metrics,
    Subject,
    all_scores,
    check_options,
    own_scores,
    result_of,
    subjects_of,
)
from lightning_dissect.metrics.sanity_table import SanityTable


def experimental_sanity_check(
    activations: Tensor,
    concept_presence: Tensor,
    metrics: Metrics = None,
    *,
    draws: int = 1,
    seed: int = 0,
    epsilon: float = 0.001,
    kept: float = 0.5,
    growth: float = 2.0,
) -> SanityTable:
    r"""Test whether the score of a neuron's right concept falls when its labels are spoiled.

    As in `theoretical_sanity_check`, for neurons as they are: what counts is the share of the neurons whose score
    falls. Where a metric states no finite range, it is taken from the scores of all neurons with all concepts, as they
    are, with labels missing and with extra ones, of the first draw. All metrics see the same spoilt labels.

    A score that is undefined before or after counts neither as fallen nor as not: it is left out and counted. A neuron
    counts by the mean of its draws.

    Args:
        activations: Pooled activations, shape ``(images, neurons)``.
        concept_presence: Probability that each neuron's right concept is in an image, shape ``(images, neurons)``.
        metrics: Names or metric objects, a mapping from names to objects, or ``None`` for all registered metrics.
        draws: How often labels are drawn, once as published.
        seed: Seed of the draws; metrics that state their traits and have a ``seed`` get another one for every draw.
        epsilon: Fall that is too small to count.
        kept: Share of the labels that stays when labels go missing.
        growth: Factor by which extra labels multiply their number.

    Returns:
        One result per metric and test.

    Raises:
        ValueError:
            If the shapes differ, an option is out of range or a metric returns scores of a wrong shape.
        TypeError:
            If a metric has no method ``score``.

    Example:
        >>> concepts = torch.rand(1000, 30, generator=torch.Generator().manual_seed(0)) < 0.1
        >>> table = experimental_sanity_check(2.0 * concepts, concepts, ["recall", "correlation"])
        >>> table.verdict("recall"), table.verdict("correlation")
        ('fail', 'pass')

    References:
        Oikarinen, Yan and Weng, Evaluating Neuron Explanations, ICML 2025. https://arxiv.org/abs/2506.05774

    """
    check_score_inputs(activations, concept_presence, name="concept_presence")
    if activations.shape != concept_presence.shape:
        raise ValueError(
            "Expected `concept_presence` to have one column per neuron, that of its right concept, "
            f"but got shapes {tuple(activations.shape)} and {tuple(concept_presence.shape)}."
        )
    check_options(draws, epsilon)
    dtype = activations.dtype if activations.is_floating_point() else torch.float32
    original = concept_presence if concept_presence.is_floating_point() else concept_presence.to(dtype)

    def spoilt_draws() -> Iterator[tuple[Tensor, Tensor]]:
        generator = label_generator(seed)
        for _ in range(draws):
            yield missing_labels(original, kept, generator), extra_labels(original, growth, generator)

    results = []
    for subject in subjects_of(metrics):
        missing, extra = _score_changes(subject, activations, original, spoilt_draws())
        results.append(result_of(subject, "experimental", "missing", missing, epsilon=epsilon))
        results.append(result_of(subject, "experimental", "extra", extra, epsilon=epsilon))
    return SanityTable(tuple(results))


def _score_changes(
    subject: Subject, activations: Tensor, original: Tensor, spoilt_draws: Iterator[tuple[Tensor, Tensor]]
) -> Tensor:
    """Return changes relative to the range with labels missing and with extra ones, shape ``(2, neurons, draws)``."""
    changes = []
    span, before = math.nan, original.new_empty(0)
    for draw, spoilt in enumerate(spoilt_draws):
        metric = subject.reseeded(draw)
        if draw == 0:
            span = subject.span(partial(_every_score, subject, activations, [original, *spoilt]))
        if draw == 0 or subject.draws:
            before = own_scores(subject, metric, activations, original)
        after = [own_scores(subject, metric, activations, presence) for presence in spoilt]
        changes.append((torch.stack(after) - before) / span)
    return torch.stack(changes, dim=2)


def _every_score(subject: Subject, activations: Tensor, concepts: Sequence[Tensor]) -> Tensor:
    return all_scores(subject, subject.metric, activations, torch.cat(list(concepts), dim=1))
