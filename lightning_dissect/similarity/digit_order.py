"""The ascending order of floating-point numbers by their digits, which beats comparisons from some thousands on."""

import numpy as np

from lightning_dissect.compiled import Array, compiled

DIGIT_BITS = 11
"""Bits of a digit: counters of all digits fit a quarter of the fastest cache."""


def ascending_order(values: Array) -> Array:
    """Return the order of each row as a stable ``argsort`` does; for NumPy arrays and where numba is installed.

    Minus zero equals zero; NaN is last, or first if its sign bit is set.

    Args:
        values: Shape ``(rows, columns)``, float32 or float64.

    Returns:
        Positions, of the same shape, uint32.

    Example:
        >>> ascending_order(np.array([[0.5, -2.0, 0.25]])).tolist()
        [[1, 2, 0]]

    """
    signed, unsigned = (np.dtype(f"{kind}{values.itemsize}") for kind in "iu")
    numbers = (values + 0.0).view(signed)
    lowest = np.iinfo(signed).min
    keys = (numbers ^ ((numbers >> (8 * values.itemsize - 1)) | lowest)).view(unsigned)
    orders = np.empty(values.shape, np.uint32)
    compiled(sort_digits)(keys, DIGIT_BITS, orders)
    return orders


def sort_digits(keys: Array, bits: int, orders: Array) -> None:
    """Write the stable order of unsigned integers, by their last digit first.

    Args:
        keys: Shape ``(rows, columns)``, unsigned.
        bits: Bits of a digit.
        orders: What is written, of the same shape, uint32.

    """
    rows, columns = keys.shape
    mask = 2**bits - 1
    places = np.empty(mask + 2, np.uint32)
    before = np.empty(columns, np.uint32)
    for row in range(rows):
        own, after = keys[row], orders[row]
        for position in range(columns):
            after[position] = position
        for shift in range(0, 8 * keys.itemsize, bits):
            before[:] = after
            places[:] = 0
            for position in range(columns):
                places[((own[position] >> shift) & mask) + 1] += 1
            for digit in range(mask):
                places[digit + 1] += places[digit]
            for place in range(columns):
                position = before[place]
                digit = (own[position] >> shift) & mask
                after[places[digit]] = position
                places[digit] += 1
