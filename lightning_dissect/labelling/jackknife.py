"""How far the difference of two correlations may lie from what was measured: the jackknife over images."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

Array = np.ndarray[Any, np.dtype[np.float64]]

ROUNDING = 1e-9
"""Differences that come from the order of summation alone, as between two concepts that are in the same images."""

_FEWEST_IMAGES = 5
"""Degrees of freedom below which the quantile is not to be trusted."""


@dataclass(frozen=True)
class JackknifedRows:
    """Rows with which others are correlated, and what leaving out an image does to them.

    Args:
        values: Rows of mean zero and norm one, shape ``(rows, images)``; NaN where a row is constant.
        weights: Inverse norm of a row without each image, same shape; NaN where nothing is left.
        weighted: Their product, same shape.

    """

    values: Array
    weights: Array
    weighted: Array

    @classmethod
    def of(cls, columns: Tensor) -> "JackknifedRows":
        """Return the rows of a matrix that is stored in columns.

        Args:
            columns: Columns of mean zero and norm one, shape ``(images, rows)``, float64.

        """
        values = np.ascontiguousarray(columns.cpu().numpy().T)
        weights = _inverse_norms(values)
        return cls(values, weights, values * weights)

    def correlations(self, row: Array, places: Sequence[int]) -> Array:
        """Return the correlations of a row with some of these.

        Args:
            row: Mean zero and norm one, shape ``(images,)``.
            places: Which of these.

        """
        return np.array([np.einsum("i,i->", self.values[place], row) for place in places])

    def errors(self, row: Array, places: Sequence[int], correlations: Array) -> tuple[Array, Array]:
        """Find out how far differences of correlations may be off.

        Args:
            row: Mean zero and norm one, shape ``(images,)``.
            places: Which rows are compared with the first of them.
            correlations: Of ``row`` with them, shape ``(places,)``.

        Returns:
            Standard error of the difference of each but the first from the first, and its degrees of freedom, each of
            shape ``(places - 1,)``; NaN where undefined.

        """
        scaled = row * (len(row) / (len(row) - 1))
        weight = _inverse_norms(row)
        own, change, shared = (np.empty_like(row) for _ in range(3))
        self._leaving_one_out(places[0], correlations[0], scaled, own, shared)
        squares, fourths = np.empty((2, len(places) - 1))
        for column, place in enumerate(places[1:]):
            self._leaving_one_out(place, correlations[1 + column], scaled, change, shared)
            change -= own
            change *= weight
            change -= change.mean()
            np.square(change, out=change)
            squares[column], fourths[column] = change.sum(), np.einsum("i,i->", change, change)
        freedom = np.divide(squares**2, fourths, out=np.full_like(squares, np.nan), where=fourths > 0)
        return np.sqrt(squares * ((len(row) - 1) / len(row))), freedom

    def _leaving_one_out(self, place: int, correlation: float, scaled: Array, out: Array, shared: Array) -> None:
        """Fill in the correlation without each image, but for the factor that comes from the other row alone."""
        np.multiply(self.weights[place], correlation, out=out)
        out -= np.multiply(self.weighted[place], scaled, out=shared)


def student_quantile(outside: float, freedom: npt.ArrayLike) -> Array:
    """Return what a variable of Student's distribution exceeds in magnitude with a probability.

    Args:
        outside: The probability.
        freedom: Degrees of freedom, any shape.

    Returns:
        The same shape; NaN with too few degrees of freedom for it to mean anything.

    Example:
        >>> student_quantile(0.05, [30.0, 2.0]).round(3).tolist()
        [2.042, nan]

    References:
        Abramowitz and Stegun, Handbook of mathematical functions, 26.7.5.

    """
    z = NormalDist().inv_cdf(1 - outside / 2)
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    enough = np.where(np.asarray(freedom) >= _FEWEST_IMAGES, freedom, np.nan)
    return np.asarray(z + (first + (second + third / enough) / enough) / enough)


def _inverse_norms(values: Array) -> Array:
    """Return the inverse norms without each image, NaN where nothing is left but rounding."""
    images = values.shape[-1]
    rest = 1 - np.square(values) * (images / (images - 1))
    return 1 / np.sqrt(np.where(rest > ROUNDING, rest, np.nan))
