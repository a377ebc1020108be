"""The theoretical sanity checks: ideal neurons that are their concept."""

from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from lightning_dissect.metrics.label_changes import extra_labels, label_generator, missing_labels
from lightning_dissect.metrics.sanity import Metrics, Subject, all_scores, check_options, result_of, subjects_of
from lightning_dissect.metrics.sanity_published import Labels
from lightning_dissect.metrics.sanity_table import SanityResult, SanityTable

FREQUENCIES = (0.499, 0.1, 0.01, 0.001, 0.0001)
"""Shares of the images that have the concept, as published."""

DRAWS_AT_ONCE = 8
"""Draws of the labels that are scored in one call."""

CHANGES: tuple[Labels, Labels] = ("missing", "extra")


def theoretical_sanity_check(
    metrics: Metrics = None,
    *,
    images: int = 500_000,
    frequencies: Sequence[float] = FREQUENCIES,
    draws: int = 50,
    seed: int = 0,
    epsilon: float = 0.001,
    kept: float = 0.5,
    growth: float = 2.0,
) -> SanityTable:
    r"""Test whether the score of a perfect explanation falls when its labels are spoiled.

    An ideal neuron is 1 where its concept is and 0 elsewhere. Its labels go missing, see `missing_labels`, or wrong
    ones are added, see `extra_labels`; the score has fallen if its change, relative to the range of the metric, is
    below :math:`-\epsilon`. A metric passes a test if it falls in more than 90 % of the draws in the mean over the
    frequencies.

    Metrics that state their traits (`MetricTraits`) get ``alpha=None`` where they have an ``alpha``, because
    activations are binary, and another ``seed`` for every draw where they have a ``seed``; others are used as they are.
    Where a metric states no range, or none that is finite, it is taken from the first draw: from the scores of all
    ideal neurons with all concepts, as they were, with labels missing and with extra ones.

    Args:
        metrics: Names or metric objects, a mapping from names to objects, or ``None`` for all registered metrics.
        images: Number of images, N.
        frequencies: Share of the images that have the concept; each is one ideal neuron.
        draws: How often labels are drawn per frequency: 50 put the standard error of a change well below 0.001, except
            for the rarest concept.
        seed: Seed of the draws.
        epsilon: Fall that is too small to count.
        kept: Share of the labels that stays when labels go missing.
        growth: Factor by which extra labels multiply their number.

    Returns:
        One result per metric, test and frequency.

    Raises:
        ValueError:
            If an option is out of range, a concept is in no image or in every image, or a metric returns scores of a
            wrong shape.
        TypeError:
            If a metric has no method ``score``.

    Example:
        >>> table = theoretical_sanity_check(["recall", "iou"], images=1000, frequencies=[0.1], draws=5)
        >>> table.verdict("recall"), table.verdict("iou")
        ('fail', 'pass')

    References:
        Oikarinen, Yan and Weng, Evaluating Neuron Explanations, ICML 2025. https://arxiv.org/abs/2506.05774

    """
    check_options(draws, epsilon)
    subjects = [subject.for_binary() for subject in subjects_of(metrics)]
    neurons = _ideal_neurons(images, frequencies)
    generator = label_generator(seed)
    first = _concepts(neurons, kept, growth, label_generator(seed))
    spans = [subject.span(partial(_every_score, subject, neurons, first)) for subject in subjects]
    results: dict[str, list[SanityResult]] = {subject.name: [] for subject in subjects}
    for index, frequency in enumerate(frequencies):
        neuron = neurons[:, [index]]
        changes: list[list[Tensor]] = [[] for _ in subjects]
        for start, width in _blocks(draws):
            spoilt = _concepts(neuron.expand(-1, width), kept, growth, generator)
            concepts = torch.cat([neuron.T, spoilt.T]).T  # metrics read columns, which lie together so
            for found, subject in zip(changes, subjects, strict=True):
                found.append(_score_changes(subject, neuron, concepts, start))
        for found, subject, span in zip(changes, subjects, spans, strict=True):
            relative = torch.cat(found, dim=1)[..., None] / span
            results[subject.name] += [
                result_of(subject, "theoretical", labels, cases, epsilon=epsilon, frequency=frequency)
                for labels, cases in zip(CHANGES, relative, strict=True)
            ]
    return SanityTable(tuple(result for of_metric in results.values() for result in of_metric))


def _ideal_neurons(images: int, frequencies: Sequence[float]) -> Tensor:
    """Return neurons that are 1 on the first images and 0 on the others, shape ``(images, frequencies)``."""
    counts = [round(frequency * images) for frequency in frequencies]
    if not counts or not all(0 < count < images for count in counts) or len(set(counts)) < len(counts):
        raise ValueError(
            "Expected `frequencies` to be different shares with which a concept is in some and not in all of "
            f"{images} `images` but got {list(frequencies)}, that is in {counts}."
        )
    return (torch.arange(images) < torch.tensor(counts)[:, None]).to(torch.float32).T


def _concepts(neurons: Tensor, kept: float, growth: float, generator: torch.Generator) -> Tensor:
    """Return each neuron's concept with labels missing, then each with extra labels, ``(images, 2 * neurons)``."""
    rows = neurons.T
    missing = [missing_labels(row[:, None], kept, generator) for row in rows]
    extra = [extra_labels(row[:, None], growth, generator) for row in rows]
    return torch.cat([*missing, *extra], dim=1)


def _every_score(subject: Subject, neurons: Tensor, concepts: Tensor) -> Tensor:
    return all_scores(subject, subject.metric, neurons, torch.cat([neurons, concepts], dim=1))


def _blocks(draws: int) -> Iterator[tuple[int, int]]:
    return ((start, min(DRAWS_AT_ONCE, draws - start)) for start in range(0, draws, DRAWS_AT_ONCE))


def _score_changes(subject: Subject, neuron: Tensor, concepts: Tensor, start: int) -> Tensor:
    """Return changes of the score with labels missing and with extra ones, shape ``(2, draws)``.

    Args:
        subject: The metric.
        neuron: The ideal neuron, shape ``(images, 1)``.
        concepts: Its concept as it is, then each draw with labels missing, then each with extra ones.
        start: Number of the first of these draws.

    """
    width = concepts.shape[1] // 2
    if not subject.draws:
        scores = all_scores(subject, subject.metric, neuron, concepts)[0]
        return scores[1:].view(2, width) - scores[0]
    changes = []
    for draw in range(width):
        chosen = concepts[:, [0, 1 + draw, 1 + width + draw]]
        scores = all_scores(subject, subject.reseeded(start + draw), neuron, chosen)[0]
        changes.append(scores[1:] - scores[0])
    return torch.stack(changes, dim=1)
