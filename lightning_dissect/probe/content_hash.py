"""Sample ids from the content of an image, for loaders whose order is not known and for keys of embeddings."""

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import pad

from lightning_dissect.probe.splitmix import shift_right, splitmix64

_FLAG = 1 << 62
_BITS_PER_LANE = 31
_CHUNK_WORDS = 1 << 20


def content_ids(images: Tensor) -> Tensor:
    r"""Return an id per image that depends on its pixels, their places and its size, and on nothing else.

    .. math:: \text{id} = 2^{62} + 2^{31} h_0 + h_1, \qquad
              h_l = \lfloor (m_{l0} H + m_{l1} W + \sum_i m_{l,i+2}\, x_i \bmod 2^{64}) / 2^{33} \rfloor

    with the bytes of the image, filled up with zeros, as signed little-endian 32-bit words :math:`x_i` and fixed
    pseudo-random 64-bit multipliers :math:`m_{li}`: two multilinear hashes, of each of which the upper 31 bits are
    kept. Two different images share an id with a probability of :math:`2^{-62}`. The sums are over integers and thus
    the same on every device and for every split into batches.

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
        The multipliers are the sequence of `splitmix64`.

    """
    if images.ndim != 4 or images.dtype != torch.uint8:
        raise ValueError(
            f"Expected `images` to be a 4-D uint8 tensor but got {images.dtype} with shape {tuple(images.shape)}."
        )
    words = _words(images.flatten(1).contiguous())
    lanes = _multipliers(words.shape[1] + 2, images.device)
    height, width = images.shape[2:]
    rows = max(1, _CHUNK_WORDS // max(1, words.shape[1]))
    sums = [_multilinear(part.to(torch.int64), lanes[:, 2:]) for part in torch.split(words, rows)]
    first, second = torch.cat(sums, dim=1) + lanes[:, :1] * height + lanes[:, 1:2] * width
    kept = 64 - _BITS_PER_LANE
    return shift_right(first, kept) << _BITS_PER_LANE | shift_right(second, kept) | _FLAG


def _words(pixels: Tensor) -> Tensor:
    """Return the bytes of each row as at least one 32-bit word, not copied where they are aligned."""
    missing = -pixels.shape[1] % 4 if pixels.shape[1] else 4
    if missing or pixels.storage_offset() % 4:
        pixels = pad(pixels, (0, missing))
    return pixels.view(torch.int32)


def _multilinear(words: Tensor, lanes: Tensor) -> Tensor:
    """Return the sums of products modulo 2**64, shape ``(2, images)``; only the CPU multiplies matrices of integers."""
    if words.device.type == "cpu":
        return torch.stack([torch.mv(words, lane) for lane in lanes])
    return torch.stack([(words * lane).sum(dim=1) for lane in lanes])


@lru_cache(maxsize=4)
def _multipliers(count: int, device: torch.device) -> Tensor:
    """Return 64-bit numbers from SplitMix64, shape ``(2, count)``, the generator's even outputs before the odd ones."""
    places = torch.arange(1, 2 * count + 1, dtype=torch.int64, device=device)
    return splitmix64(places).view(count, 2).T.contiguous()
