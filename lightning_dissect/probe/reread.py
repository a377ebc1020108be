"""Pictures for display, read again from the dataset at better quality than the network's input has."""

import random
from collections.abc import Callable, Iterator, Sequence, Sized
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import ConcatDataset, Subset, default_collate

from lightning_dissect.checks import check_positive
from lightning_dissect.probe.images import Denormalize, find_images, to_uint8
from lightning_dissect.types import Picture

_FILE_LISTS = ("imgs", "images", "_image_files", "_images")


class IndexedDataset(Protocol):
    """A map-style dataset."""

    def __getitem__(self, index: int, /) -> object:
        """Return one sample."""
        ...


def read_image(
    dataset: IndexedDataset,
    index: int,
    denormalize: Denormalize | None = None,
    *,
    image_fn: Callable[[Any], Tensor] | None = None,
    collate_fn: Callable[[list[Any]], Any] = default_collate,
    longest_side: int = 256,
) -> Picture | None:
    """Return one sample's picture, before the transform where the dataset lets one get there.

    Subsets and concatenations are followed to the dataset that holds the sample. There the picture is, in this order:
    what ``loader`` makes of an entry of ``samples`` (`ImageFolder` and the like), the file in a list of files
    (``imgs``, ``images``, and the private lists of torchvision's datasets), the array in ``data`` (CIFAR, MNIST and
    the like), and otherwise what ``dataset[index]`` returns, with the normalisation undone. Lists and arrays count only
    if they are as long as the dataset. The random states of Python, NumPy and torch are left as they were, whatever the
    transform draws.

    Args:
        dataset: A map-style dataset.
        index: Position in ``dataset``.
        denormalize: As for `to_uint8`.
        image_fn: From a batch to its images; `find_images` if not given.
        collate_fn: From a list of one sample to a batch, as for the `DataLoader`.
        longest_side: Height and width of the picture at most, in pixels; a larger one is scaled down.

    Returns:
        Shape ``(height, width, 3)``, uint8; ``None`` if nothing gave a picture.

    Raises:
        ValueError:
            If ``longest_side`` is not positive.

    Example:
        >>> dataset = [(torch.zeros(3, 512, 256), 0)]
        >>> read_image(dataset, 0).shape
        (256, 128, 3)

    """
    check_positive("longest_side", longest_side)
    with _random_states_untouched():
        for read in (_raw, lambda dataset, index: _sample(dataset[index], denormalize, image_fn, collate_fn)):
            try:
                picture = read(dataset, index)
            except Exception:  # noqa: BLE001, S112 - datasets are the user's code, and a picture is not worth a crash
                continue
            if picture is not None:
                picture.thumbnail((longest_side, longest_side), Image.Resampling.LANCZOS)
                return np.array(picture, dtype=np.uint8)
    return None


def _raw(dataset: object, index: int) -> Image.Image | None:
    """Return a sample's picture before the transform, ``None`` if the dataset does not offer it."""
    if isinstance(dataset, Subset):
        return _raw(dataset.dataset, int(dataset.indices[index]))
    if isinstance(dataset, ConcatDataset):
        part = int(np.searchsorted(dataset.cumulative_sizes, index, side="right"))
        return _raw(dataset.datasets[part], index - (dataset.cumulative_sizes[part - 1] if part else 0))
    length = len(dataset) if isinstance(dataset, Sized) else None
    loader, samples = getattr(dataset, "loader", None), getattr(dataset, "samples", None)
    if callable(loader) and isinstance(samples, Sequence) and len(samples) == length:
        return _picture(loader(samples[index][0]))
    for files in (getattr(dataset, name, None) for name in _FILE_LISTS):
        if isinstance(files, Sequence) and len(files) == length:
            with Image.open(files[index] if isinstance(files[index], (str, Path)) else files[index][0]) as picture:
                return picture.convert("RGB")
    data = getattr(dataset, "data", None)
    if isinstance(data, (np.ndarray, Tensor)) and data.dtype in (np.uint8, torch.uint8) and len(data) == length:
        return _picture(data[index])
    return None


def _sample(
    sample: object,
    denormalize: Denormalize | None,
    image_fn: Callable[[Any], Tensor] | None,
    collate_fn: Callable[[list[Any]], Any],
) -> Image.Image:
    """Return the picture in what a dataset returns, transformed or not."""
    members = sample.values() if isinstance(sample, dict) else sample if isinstance(sample, (list, tuple)) else [sample]
    for member in members if image_fn is None else ():
        if isinstance(member, Image.Image):
            return _picture(member)
    return _picture(to_uint8((image_fn or find_images)(collate_fn([sample]))[:1], denormalize)[0])


def _picture(content: object) -> Image.Image:
    """Return a PIL image, an array or a uint8 tensor as an RGB image of its own."""
    if isinstance(content, Image.Image):
        return content.convert("RGB")
    pixels = np.asarray(content.cpu() if isinstance(content, Tensor) else content)
    is_channels_first = pixels.ndim == 3 and pixels.shape[0] in (1, 3) and pixels.shape[2] not in (1, 3)
    pixels = pixels.transpose(1, 2, 0) if is_channels_first else pixels
    return Image.fromarray(pixels.squeeze(2) if pixels.shape[2:] == (1,) else pixels).convert("RGB")


@contextmanager
def _random_states_untouched() -> Iterator[None]:
    is_on_gpu = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    devices = [torch.cuda.current_device()] if is_on_gpu else []
    python, legacy_numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy_numpy)  # noqa: NPY002
