"""The mean and std that a dataset's transform has taken out of its images."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import FunctionType, MethodType

import numpy as np
import torch
from torch import Tensor, nn

_TRANSFORM_ATTRIBUTE = re.compile(
    r"transform|preprocess|processor|augment|pipeline|normali[sz]|dataset|^_?format_kwargs$|^_?tfm?s?$"
)
_LONGEST_LIST = 256


@dataclass(frozen=True)
class Normalisation:
    """Channel means and standard deviations with which images in ``[0, 1]`` were standardised.

    Args:
        mean: One value per channel, or one for all.
        std: As many values as ``mean``, all greater than zero.

    Raises:
        ValueError:
            If ``mean`` is empty, differs in length from ``std``, or a value of ``std`` is not greater than zero.

    Example:
        >>> normalisation = Normalisation(mean=(0.5,), std=(0.25,))
        >>> normalisation.undo(torch.full((1, 3, 1, 1), 1.0)).flatten()
        tensor([0.7500, 0.7500, 0.7500])

    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.mean or len(self.mean) != len(self.std):
            raise ValueError(
                f"Expected `mean` and `std` to hold one value per channel each but got {self.mean} and {self.std}."
            )
        if min(self.std) <= 0:
            raise ValueError(f"Expected every value of `std` to be greater than 0 but got {self.std}.")

    def undo(self, images: Tensor) -> Tensor:
        """Return the images before they were standardised.

        Args:
            images: Shape ``(images, channels, height, width)``, floating.

        Returns:
            Same shape, float32, on the same device; in ``[0, 1]`` up to rounding if the images were.

        Raises:
            ValueError:
                If the number of channels is not that of ``mean``.

        """
        mean, std = self._values(images)
        return images.to(torch.float32) * std + mean

    def apply(self, images: Tensor) -> Tensor:
        """Return standardised images.

        Args:
            images: Images in ``[0, 1]``, shape ``(images, channels, height, width)``, floating.

        Returns:
            Same shape, float32, on the same device.

        Raises:
            ValueError:
                If the number of channels is not that of ``mean``.

        """
        mean, std = self._values(images)
        return (images.to(torch.float32) - mean) / std

    def _values(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation in a shape that fits images."""
        if len(self.mean) not in (1, images.shape[1]):
            raise ValueError(
                f"Expected `images` to have {len(self.mean)} channels, as many as `mean`, "
                f"but got shape {tuple(images.shape)}."
            )
        mean, std = (
            torch.tensor(values, dtype=torch.float32, device=images.device)[:, None, None]
            for values in (self.mean, self.std)
        )
        return mean, std


def given_denormalize(
    mean: Sequence[float] | None, std: Sequence[float] | None, denormalize: Callable[[Tensor], Tensor] | None
) -> "Normalisation | Callable[[Tensor], Tensor] | None":
    """Return what undoes the normalisation, as a user has given it, ``None`` if they have not.

    Args:
        mean: Mean per channel.
        std: Standard deviation per channel.
        denormalize: From normalised images to images in ``[0, 1]``, instead of ``mean`` and ``std``.

    Raises:
        ValueError:
            If only one of ``mean`` and ``std`` is given, or both they and ``denormalize``.

    Example:
        >>> given_denormalize([0.5], [0.25], None)
        Normalisation(mean=(0.5,), std=(0.25,))

    """
    if (mean is None) != (std is None):
        raise ValueError(f"Expected `mean` and `std` to be given together but got mean={mean} and std={std}.")
    if mean is None or std is None:
        return denormalize
    if denormalize is not None:
        raise ValueError("Expected either `mean` and `std` or `denormalize` to be given but got both.")
    return Normalisation(tuple(mean), tuple(std))


def find_normalisation(dataset: object) -> Normalisation | None:
    """Return the normalisation in a dataset's transform, ``None`` if there is none or if there are different ones.

    Args:
        dataset: A dataset, or any object that `find_normalisations` can walk.

    Example:
        >>> from torchvision.transforms import v2
        >>> find_normalisation(v2.Normalize(mean=[0.5], std=[0.25]))
        Normalisation(mean=(0.5,), std=(0.25,))

    """
    found = find_normalisations(dataset)
    return found[0] if len(found) == 1 else None


def find_normalisations(dataset: object) -> tuple[Normalisation, ...]:
    """Return the distinct normalisations in a dataset's transforms, in the order in which they are met.

    The walk starts at the dataset and follows what it wraps (``dataset``, ``datasets``), whatever is called a
    transform, the members of composed transforms, partials, bound methods, and the variables that a function closes
    over or reads from its module. A normalisation is anything with a numeric ``mean`` and ``std`` (or ``image_mean``
    and ``image_std``): `Normalize` of torchvision v1 and v2, presets of torchvision's weights, the pipelines of timm
    and open_clip, Albumentations, image processors of transformers. Means above 1 are taken to be in units of 1/255;
    values are rounded to six decimals, so that float32 and float64 agree.

    Args:
        dataset: A dataset or a transform.

    Example:
        >>> from torchvision.transforms import v2
        >>> find_normalisations(v2.Compose([v2.ToImage(), v2.Normalize([0.5], [0.5])]))
        (Normalisation(mean=(0.5,), std=(0.5,)),)

    """
    found: dict[Normalisation, None] = {}
    seen: dict[int, object] = {}
    pending = [dataset]
    while pending:
        node = pending.pop()
        if id(node) in seen:
            continue
        seen[id(node)] = node
        normalisation = _normalisation(node)
        if normalisation is not None:
            found[normalisation] = None
        pending.extend(reversed(list(_successors(node))))
    return tuple(found)


def _normalisation(node: object) -> Normalisation | None:
    attributes = getattr(node, "__dict__", {})
    for mean_name, std_name in (("mean", "std"), ("image_mean", "image_std")):
        mean, std = _numbers(attributes.get(mean_name)), _numbers(attributes.get(std_name))
        if mean and len(mean) == len(std):
            unit = 255.0 if max(mean) > 1 else 1.0
            mean, std = (tuple(round(value / unit, 6) for value in values) for values in (mean, std))
            return Normalisation(mean, std) if min(std) > 0 else None
    return None


def _numbers(value: object) -> tuple[float, ...]:
    """Return a scalar, sequence, array or tensor of numbers as a tuple, empty if it is none of these."""
    if isinstance(value, (bool, str)) or not isinstance(value, (int, float, Sequence, np.ndarray, Tensor)):
        return ()
    try:
        array = np.asarray(value, dtype=np.float64)
    except (RuntimeError, TypeError, ValueError):
        return ()
    return tuple(array.ravel().tolist()) if array.size <= _LONGEST_LIST and np.isfinite(array).all() else ()


def _successors(node: object) -> Iterator[object]:
    """Give the objects that may hold a transform of ``node``."""
    if isinstance(node, (list, tuple)):
        yield from node[:_LONGEST_LIST]
    elif isinstance(node, Mapping):
        yield from list(node.values())[:_LONGEST_LIST]
    elif isinstance(node, partial):
        yield from (node.func, node.args, node.keywords)
    elif isinstance(node, MethodType):
        yield from (node.__self__, node.__func__)
    elif isinstance(node, FunctionType):
        yield from _variables(node)
    elif not isinstance(node, (type, Tensor, np.ndarray)):
        yield from _members(node)


def _variables(function: FunctionType) -> Iterator[object]:
    """Give what a function closes over, and what it reads from its module and could be a transform."""
    for cell in function.__closure__ or ():
        with suppress(ValueError):
            yield cell.cell_contents
    for name in function.__code__.co_names:
        if callable(value := function.__globals__.get(name)):
            yield value


def _members(node: object) -> Iterator[object]:
    for name, value in getattr(node, "__dict__", {}).items():
        if _TRANSFORM_ATTRIBUTE.search(name):
            yield value
    if isinstance(node, nn.Module):
        yield from node.children()
