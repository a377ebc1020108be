"""Sample ids from the content of an image, for loaders whose order is not known and for keys of embeddings."""

from functools import lru_cache

import torch
from torch import Tensor

_FLAG = 1 << 62
_CHUNK_ELEMENTS = 1 << 20
_GOLDEN_GAMMA = -7046029254386353131
_MIX = (-4658895280553007687, -7723592293110705685)


def content_ids(images: Tensor) -> Tensor:
    r"""Return an id per image that depends on its pixels, their places and its size, and on nothing else.

    .. math:: \text{id} = 2^{62} + \lfloor (m_0 H + m_1 W + \sum_i m_{i+2}\, x_i \bmod 2^{64}) / 4 \rfloor

    with the bytes :math:`x_i` of the image and fixed pseudo-random odd multipliers :math:`m_i`: a multilinear hash, of
    which the upper 62 bits are kept. Two different images share an id with a probability of about :math:`2^{-55}` or
    less. The sum is over integers and thus the same on every device and for every split into batches.

    Args:
        images: The probe's canonical images, shape ``(images, 3, height, width)``, uint8, on any device.

    Returns:
        Shape ``(images,)``, int64, on the device of ``images``, with bit 62 set, which `index_ids` never has.

    Raises:
        ValueError:
            If ``images`` is not a 4-D uint8 tensor.

    Example:
        >>> images = torch.arange(24, dtype=torch.uint8).reshape(2, 3, 2, 2)
        >>> ids = content_ids(images)
        >>> bool(ids[0] != ids[1]), torch.equal(ids[1:], content_ids(images[1:]))
        (True, True)

    References:
        Lemire and Kaser, Strongly universal string hashing is fast, 2014. https://arxiv.org/abs/1202.4961
        The multipliers are the sequence of SplitMix64: Steele, Lea and Flood, OOPSLA 2014.

    """
    if images.ndim != 4 or images.dtype != torch.uint8:
        raise ValueError(
            f"Expected `images` to be a 4-D uint8 tensor but got {images.dtype} with shape {tuple(images.shape)}."
        )
    pixels = images.flatten(1)
    multipliers = _multipliers(pixels.shape[1] + 2, images.device)
    size = torch.tensor(images.shape[2:], device=images.device)
    total = (multipliers[:2] * size).sum().repeat(len(pixels))
    width = max(1, _CHUNK_ELEMENTS // max(1, len(pixels)))
    for start in range(0, pixels.shape[1], width):
        chunk = slice(start, start + width)
        total += pixels[:, chunk].to(torch.int64).mul_(multipliers[2:][chunk]).sum(dim=1)
    return _shift_right(total, 2) | _FLAG


@lru_cache(maxsize=4)
def _multipliers(count: int, device: torch.device) -> Tensor:
    """Return odd 64-bit numbers from SplitMix64, shape ``(count,)``; a longer sequence starts with a shorter one."""
    state = torch.arange(1, count + 1, dtype=torch.int64, device=device) * _GOLDEN_GAMMA
    state = (state ^ _shift_right(state, 30)) * _MIX[0]
    state = (state ^ _shift_right(state, 27)) * _MIX[1]
    return (state ^ _shift_right(state, 31)) | 1


def _shift_right(values: Tensor, bits: int) -> Tensor:
    """Shift right and fill with zeros, as if the int64 values were unsigned."""
    return (values >> bits) & ((1 << (64 - bits)) - 1)
