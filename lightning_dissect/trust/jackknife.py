"""Correlations of neurons with the candidates chosen for each, and how they move without each image."""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lightning_dissect.compiled import Array, compiled, runs_compiled
from lightning_dissect.threads import run_in_threads

SMALL_STEP = 2.0**-5
"""Up to here five terms of the series of artanh are exact to rounding."""

LEAST_REST = 1e-12
"""Where less is left of a column's norm without an image, the quotient is one of roundings."""

MOST_IN_FRONT = 8
"""Candidates, the best of each neuron, whose leads are compared with each other."""

_NEURONS_AT_ONCE = 8


class Jackknifed(NamedTuple):
    """What the images say of neurons and their candidates; NaN where undefined.

    Args:
        quality: Correlations, shape ``(neurons, candidates)``.
        errors: Standard errors of their transform, same shape.
        lead_errors: Standard errors of the lead of the best, same shape.
        front: Places of at most `MOST_IN_FRONT` candidates, best first, shape ``(neurons, front)``, int64.
        covariances: Covariances of the leads over these, shape ``(neurons, front, front)``.

    """

    quality: Tensor
    errors: Tensor
    lead_errors: Tensor
    front: Tensor
    covariances: Tensor

    @classmethod
    def unknown(cls, pairs: Tensor) -> "Jackknifed":
        """Return tables without content, float64 on the CPU.

        Args:
            pairs: Candidates, shape ``(neurons, candidates)``.

        """
        neurons, candidates = pairs.shape
        front = min(candidates, MOST_IN_FRONT)
        quality, errors, lead_errors = torch.full((3, neurons, candidates), torch.nan, dtype=torch.float64)
        covariances = torch.full((neurons, front, front), torch.nan, dtype=torch.float64)
        return cls(quality, errors, lead_errors, torch.arange(front).repeat(neurons, 1), covariances)


def jackknife(rows: Tensor, columns: Tensor, pairs: Tensor) -> Jackknifed:
    r"""Return correlations and their jackknife errors.

    With rows :math:`x` and columns :math:`y` of mean 0 and norm 1, the correlation without image :math:`i` needs no
    second pass:

    .. math::
        r_{(i)} = \frac{r - \kappa x_i y_i}{\sqrt{(1 - \kappa x_i^2) (1 - \kappa y_i^2)}}, \quad
        \kappa = \frac{N}{N - 1}, \qquad
        s^2 = \frac{N - 1}{N} \sum_i (t_{(i)} - \bar t)^2

    for a statistic :math:`t`: the transform :math:`\operatorname{artanh} r`, and the lead of the neuron's best
    correlation over each of its others, of which the covariances are taken the same way.

    Args:
        rows: Standardised neurons, shape ``(neurons, images)``, float64.
        columns: Standardised presence of some concepts, one after the other, shape ``(concepts, images)``, float64.
        pairs: Row of ``columns`` of every candidate, shape ``(neurons, candidates)``, int64; -1 where there is none.

    Returns:
        Correlations, their errors and those of the leads, on the CPU.

    Example:
        >>> from lightning_dissect.standardise import standardised_columns
        >>> rows = standardised_columns(torch.tensor([[0.0, 0.0], [1.0, 2.0], [2.0, 1.0], [3.0, 3.0]])).T.contiguous()
        >>> found = jackknife(rows[:1], rows[1:], torch.tensor([[0]]))
        >>> found.quality.item(), round(found.errors.item(), 4)
        (0.8, 0.9514)

    """
    found = Jackknifed.unknown(pairs)
    if runs_compiled(rows, columns):
        correlate, leave_out = compiled(write_correlations, reassociate=True), compiled(write_errors, reassociate=True)
        neurons, concepts, chosen = rows.numpy(), columns.numpy(), pairs.numpy()
        quality, errors, lead_errors, front, covariances = (table.numpy() for table in found)

        def fill(part: slice) -> None:
            correlate(neurons[part], concepts, chosen[part], quality[part])
            front[part] = np.argsort(-quality[part], axis=1, kind="stable")[:, : front.shape[1]]
            out = (errors[part], lead_errors[part], covariances[part])
            leave_out(neurons[part], concepts, chosen[part], quality[part], front[part], *out)

        run_in_threads(fill, len(rows), _NEURONS_AT_ONCE)
    else:
        for neuron, candidates in enumerate(pairs.to(columns.device)):
            for table, values in zip(found, _by_torch(rows[neuron], columns, candidates), strict=True):
                table[neuron] = values
    return found


def _by_torch(row: Tensor, columns: Tensor, candidates: Tensor) -> Jackknifed:
    """Return what `jackknife` does for one neuron, without the dimension of neurons."""
    chosen = columns[candidates.clamp(min=0)].where(candidates[:, None] >= 0, torch.nan)
    quality = chosen @ row
    without = leaving_each_out(row, chosen, quality)
    front = quality.neg().argsort(stable=True)[:MOST_IN_FRONT]
    leads = without[front[:1]] - without
    centred = leads[front] - leads[front].mean(dim=1, keepdim=True)
    covariances = centred @ centred.T * (1 - 1 / len(row))
    return Jackknifed(quality, jackknife_error(without.atanh()), jackknife_error(leads), front, covariances)


def leaving_each_out(row: Tensor, columns: Tensor, quality: Tensor) -> Tensor:
    """Return the correlations without each image.

    Args:
        row: A standardised neuron, shape ``(images,)``.
        columns: Standardised presence, shape ``(candidates, images)``.
        quality: Their correlations, shape ``(candidates,)``.

    Returns:
        Shape ``(candidates, images)``; NaN for an image without which a column is constant.

    """
    factor = len(row) / (len(row) - 1)
    rest = (1 - factor * row.square()) * (1 - factor * columns.square())
    spread = rest.where(rest > LEAST_REST, torch.nan).sqrt_()
    return ((quality[:, None] - factor * row * columns) / spread).clamp_(-1, 1)


def jackknife_error(values: Tensor) -> Tensor:
    """Return the standard error from values that each leave one image out.

    Args:
        values: Shape ``(..., images)``.

    """
    spread = (values - values.mean(dim=-1, keepdim=True)).square().sum(dim=-1)
    return (spread * (1 - 1 / values.shape[-1])).sqrt()


def write_correlations(rows: Array, columns: Array, pairs: Array, quality: Array) -> None:
    """Write the correlation of every pair.

    Args:
        rows: Shape ``(neurons, images)``.
        columns: Shape ``(concepts, images)``.
        pairs: Shape ``(neurons, candidates)``.
        quality: What is written, of the shape of ``pairs``; where there is no candidate it stays.

    """
    images = rows.shape[1]
    for neuron in range(len(pairs)):
        for candidate in range(pairs.shape[1]):
            concept = pairs[neuron, candidate]
            if concept >= 0:
                product = 0.0
                for image in range(images):
                    product += rows[neuron, image] * columns[concept, image]
                quality[neuron, candidate] = product


def write_errors(  # noqa: PLR0917
    rows: Array,
    columns: Array,
    pairs: Array,
    quality: Array,
    front: Array,
    errors: Array,
    lead_errors: Array,
    covariances: Array,
) -> None:
    """Write the jackknife errors of every pair, see `jackknife`.

    The transform moves by ``artanh((s - r) / (1 - s r))`` where the correlation moves from ``r`` to ``s``: mostly so
    little that its series is exact.

    Args:
        rows: Shape ``(neurons, images)``.
        columns: Shape ``(concepts, images)``.
        pairs: Shape ``(neurons, candidates)``.
        quality: Correlations, of the shape of ``pairs``.
        front: Places of the best candidates, best first, shape ``(neurons, front)``.
        errors: What is written of the transform, of the shape of ``pairs``.
        lead_errors: What is written of the lead of the best, of the same shape.
        covariances: What is written of the leads over ``front``, shape ``(neurons, front, front)``.

    """
    images, candidates = rows.shape[1], pairs.shape[1]
    factor, share = images / (images - 1.0), (images - 1.0) / images
    moves, steps, totals = np.empty((candidates, images)), np.empty(images), np.empty(candidates)
    for neuron in range(len(pairs)):
        for candidate in range(candidates):
            r, large, total, squares = quality[neuron, candidate], 0, 0.0, 0.0
            column = columns[max(pairs[neuron, candidate], 0)]
            for image in range(images):
                x, y = rows[neuron, image], column[image]
                rest = (1.0 - factor * x * x) * (1.0 - factor * y * y)
                without = (r - factor * x * y) / math.sqrt(rest if rest > LEAST_REST else np.nan)
                without = min(max(without, -1.0), 1.0)
                step = (without - r) / (1.0 - without * r)
                moves[candidate, image], steps[image] = without - r, step
                s = step * step
                move = step * (1.0 + s * (1 / 3 + s * (1 / 5 + s * (1 / 7 + s / 9))))
                large += abs(step) > SMALL_STEP
                total += move
                squares += move * move
            for image in range(images if large else 0):
                step = steps[image]
                if abs(step) > SMALL_STEP:
                    s = step * step
                    move, exact = step * (1.0 + s * (1 / 3 + s * (1 / 5 + s * (1 / 7 + s / 9)))), math.atanh(step)
                    total += exact - move
                    squares += exact * exact - move * move
            errors[neuron, candidate] = math.sqrt(share * max(squares - total * total / images, 0.0))
        leader = moves[front[neuron, 0]].copy()
        for candidate in range(candidates):
            total, squares = 0.0, 0.0
            for image in range(images):
                move = leader[image] - moves[candidate, image]
                moves[candidate, image] = move
                total += move
                squares += move * move
            totals[candidate] = total
            lead_errors[neuron, candidate] = math.sqrt(share * max(squares - total * total / images, 0.0))
        for pair in range(front.shape[1] ** 2):
            place, beside = pair // front.shape[1], pair % front.shape[1]
            one, other, products = front[neuron, place], front[neuron, beside], 0.0
            for image in range(images):
                products += moves[one, image] * moves[other, image]
            covariances[neuron, place, beside] = share * (products - totals[one] * totals[other] / images)
