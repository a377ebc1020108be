"""Sorting networks: which rows are compared, whatever they hold, so that many columns are sorted side by side."""

from collections.abc import Iterator

BASE = 16
"""Rows that are sorted at first, by one step."""

NEAR = 128
"""Rows that are sorted before others are looked at."""

MOST_LEVELS = 4
"""Levels of comparisons of one step: more rows than that takes do not fit registers."""

Comparators = list[tuple[int, int]]
"""Pairs of rows; the smaller value goes to the first."""


def batcher(rows: int) -> Comparators:
    """Return what sorts rows: Batcher's odd-even mergesort.

    Args:
        rows: A power of two.

    Example:
        >>> batcher(4)
        [(0, 1), (2, 3), (0, 2), (1, 3), (1, 2)]

    References:
        Batcher, Sorting Networks and their Applications, 1968.

    """
    found, size = [], 1
    while size < rows:
        distance = size
        while distance:
            for start in range(distance % size, rows - distance, 2 * distance):
                firsts = range(start, min(start + distance, rows - distance))
                within = (first for first in firsts if first // (2 * size) == (first + distance) // (2 * size))
                found += [(first, first + distance) for first in within]
            distance //= 2
        size *= 2
    return found


def half_cleaners(rows: int) -> Comparators:
    """Return what sorts rows that rise and then fall, or the other way round.

    Args:
        rows: A power of two.

    Example:
        >>> half_cleaners(4)
        [(0, 2), (1, 3), (0, 1), (2, 3)]

    """
    found, distance = [], rows // 2
    while distance:
        found += [(row, row + distance) for row in range(rows) if not row & distance]
        distance //= 2
    return found


def mirrored(rows: int) -> Comparators:
    """Return what merges two sorted halves: first against last, then `half_cleaners` in both halves.

    Args:
        rows: A power of two, at least 2.

    Example:
        >>> mirrored(4)
        [(0, 3), (1, 2), (0, 1), (2, 3)]

    """
    half = rows // 2
    cleaners = half_cleaners(half)
    outer = [(row, rows - 1 - row) for row in range(half)]
    return outer + cleaners + [(first + half, second + half) for first, second in cleaners]


def merging_passes(rows: int) -> Iterator[tuple[int, int, int, int, int, int, int]]:
    """Yield passes that merge sorted runs of `BASE` rows.

    A pass makes ``2 ** apart`` steps in each of its blocks. The first step in the first block reads ``2 ** levels``
    rows, half of them ``2 ** apart`` rows apart from ``first``, half from ``second``, compares them as `mirrored` or
    `half_cleaners` say and writes them back. The next step begins a row later, if mirrored a row earlier in the second
    half. The last pass is not mirrored and compares neighbours, all rows of them.

    Args:
        rows: Rows to sort, a power of two, more than `BASE`.

    Yields:
        Levels, whether mirrored, first, second, apart, rows of a block and number of blocks.

    Example:
        >>> list(merging_passes(32))
        [(2, 1, 0, 23, 3, 32, 1), (3, 0, 0, 4, 0, 8, 4)]

    """
    near = min(NEAR, rows)
    for end in range(near, rows + 1, near):
        size = 2 * BASE
        while size <= near:
            yield from _merge(end - near, near, size)
            size *= 2
        while end % size == 0:
            yield from _merge(end - size, size, size)
            size *= 2


def _merge(start: int, rows: int, size: int) -> Iterator[tuple[int, int, int, int, int, int, int]]:
    """Yield the passes that merge some rows, two runs at a time to runs of a size."""
    left = size.bit_length() - 1
    chunks = -(-left // MOST_LEVELS)
    block = size
    for chunk in range(chunks):
        levels = left // (chunks - chunk)
        left -= levels
        stride = block >> levels
        second = start + block // 2 + (stride - 1 if chunk == 0 else 0)
        yield levels, int(chunk == 0), start, second, stride.bit_length() - 1, block, rows // block
        block = stride
