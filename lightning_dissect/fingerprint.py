"""Stable keys of content, for caches and for saying what a number depends on."""

import hashlib
from collections.abc import Iterable

import torch
from torch import Tensor


def fingerprint(*parts: str | bytes | int | float | Tensor | Iterable[str]) -> str:
    """Return a key of 32 hexadecimal digits that depends on the content of all parts and on their order.

    Args:
        parts: Strings, bytes, numbers, tensors (values, shape and dtype count; device and strides do not) and iterables
            of strings.

    Example:
        >>> fingerprint("a", "bc") != fingerprint("ab", "c")
        True

    """
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        for piece in _pieces(part):
            digest.update(len(piece).to_bytes(8, "little"))
            digest.update(piece)
    return digest.hexdigest()


def _pieces(part: str | bytes | int | float | Tensor | Iterable[str]) -> Iterable[bytes]:
    if isinstance(part, Tensor):
        data = part.detach().cpu().contiguous()
        yield f"{data.dtype} {tuple(data.shape)}".encode()
        yield data.reshape(-1).view(torch.uint8).numpy().tobytes()
    elif isinstance(part, bytes):
        yield part
    elif isinstance(part, (str, int, float)):
        yield f"{type(part).__name__} {part}".encode()
    else:
        items = list(part)
        yield f"iterable {len(items)}".encode()
        yield from (item.encode() for item in items)
