"""Numbers that look drawn at random but belong to other numbers, the same on every machine and in every run."""

from torch import Tensor

_GOLDEN_GAMMA = -7046029254386353131
_MIX = (-4658895280553007687, -7723592293110705685)


def splitmix64(places: Tensor) -> Tensor:
    """Return the outputs of the generator SplitMix64 with seed 0 at some places; different places differ.

    Args:
        places: Integers, any shape, int64; the first output has place 1.

    Returns:
        Same shape, int64: the 64 bits of the output, the highest as sign.

    Example:
        >>> import torch
        >>> splitmix64(torch.tensor([1])).item() % 2**64
        16294208416658607535

    References:
        Steele, Lea and Flood, Fast splittable pseudorandom number generators, OOPSLA 2014.

    """
    state = places * _GOLDEN_GAMMA
    state = (state ^ shift_right(state, 30)) * _MIX[0]
    state = (state ^ shift_right(state, 27)) * _MIX[1]
    return state ^ shift_right(state, 31)


def shift_right(values: Tensor, bits: int) -> Tensor:
    """Shift right and fill with zeros, as if the int64 values were unsigned.

    Args:
        values: Any shape, int64.
        bits: From 1 to 63.

    """
    return (values >> bits) & ((1 << (64 - bits)) - 1)


def scattered_ids(sample_ids: Tensor, count: int) -> Tensor:
    """Return some ids as if drawn at random, by which other ids there are as little as possible.

    They are those at which `splitmix64` is least: an id that is among them stays so when other ids are taken away, and
    two probes that share images tend to share these.

    Args:
        sample_ids: Different ids, shape ``(images,)``, int64.
        count: How many; if there are fewer ids, all of them.

    Returns:
        Ascending ids, shape ``(min(count, images),)``.

    Example:
        >>> import torch
        >>> scattered_ids(torch.arange(1000), 3), scattered_ids(torch.tensor([2, 1]), 3)
        (tensor([179, 545, 959]), tensor([1, 2]))

    """
    return sample_ids[splitmix64(sample_ids).argsort()[:count]].sort().values
