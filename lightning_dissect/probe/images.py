"""From any batch to its images, and from any image tensor to the probe's canonical uint8 form."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass

import torch
from torch import Tensor

from lightning_dissect.probe.normalisation import Normalisation

Denormalize = Normalisation | Callable[[Tensor], Tensor]

_IMAGE_KEYS = ("image", "images", "pixel_values", "x", "img", "imgs", "input", "inputs")
_TARGET_KEYS = ("label", "labels", "target", "targets", "y", "class", "classes")
_RANGE_SLACK = 0.05
_ELEMENTS_IN_CACHE = 1 << 20
_ELEMENTS_ON_ACCELERATOR = 1 << 24
_DESCRIBED_MEMBERS = 6


def find_images(batch: object) -> Tensor:
    """Return the images of a batch: the first 4-D tensor of floats or uint8 with 1 or 3 channels.

    Tensors are searched for in tuples, lists, mappings and dataclasses of any depth, so in the batches of a
    `CombinedLoader` too. Within a mapping or dataclass the names ``image``, ``images``, ``pixel_values``, ``x``,
    ``img``, ``imgs``, ``input`` and ``inputs`` come first.

    Args:
        batch: What a dataloader yields.

    Returns:
        The tensor itself, shape ``(images, channels, height, width)``.

    Raises:
        ValueError:
            If there is no such tensor.

    Example:
        >>> batch = {"meta": torch.zeros(2, 5), "views": (torch.zeros(2, 3, 8, 8), torch.zeros(2))}
        >>> find_images(batch).shape
        torch.Size([2, 3, 8, 8])

    """
    for tensor in _tensors(batch, _IMAGE_KEYS):
        is_pixels = tensor.is_floating_point() or tensor.dtype == torch.uint8
        if tensor.ndim == 4 and tensor.shape[1] in (1, 3) and is_pixels:
            return tensor
    raise ValueError(
        "Expected `batch` to hold images, a 4-D tensor of floats or uint8 with 1 or 3 channels in the second dimension,"
        f" but got {_describe(batch)}. Pass `image_fn`, a function from the batch to such a tensor."
    )


def find_targets(batch: object) -> Tensor:
    """Return the annotations of a batch: class indices or, if there are none, memberships.

    Class indices are the first 1-D tensor of integers. Memberships are the first 2-D tensor with no value outside
    ``[0, 1]``. Within a mapping or dataclass the names ``label``, ``target``, ``y``, ``class`` and their plurals come
    first.

    Args:
        batch: What a dataloader yields.

    Returns:
        The tensor itself, shape ``(images,)`` or ``(images, classes)``.

    Raises:
        ValueError:
            If there is no such tensor.

    Example:
        >>> find_targets((torch.zeros(2, 3, 8, 8), torch.tensor([4, 1])))
        tensor([4, 1])

    """
    tensors = list(_tensors(batch, _TARGET_KEYS))
    for tensor in tensors:
        is_integer = not tensor.is_floating_point() and not tensor.is_complex() and tensor.dtype != torch.bool
        if tensor.ndim == 1 and is_integer:
            return tensor
    for tensor in tensors:
        if tensor.ndim == 2 and not tensor.is_complex() and bool(((tensor >= 0) & (tensor <= 1)).all()):
            return tensor
    raise ValueError(
        "Expected `batch` to hold targets, a 1-D tensor of class indices or a 2-D tensor of memberships in [0, 1], "
        f"but got {_describe(batch)}. Pass `target_fn`, a function from the batch to such a tensor."
    )


def to_uint8(images: Tensor, denormalize: Denormalize | None = None) -> Tensor:
    """Return images in the probe's canonical form, which encoders, content ids and reports share.

    Floats are taken to float32, the normalisation is undone, and the result is clamped to ``[0, 1]``, scaled to 255
    and rounded. One channel becomes three equal ones; uint8 is taken as it is. Without ``denormalize``, floats in
    ``[0, 1]`` count as plain images, and an image with values outside (`out_of_range`) is stretched between its own
    minimum and maximum: good enough to recognise, but not its true colours. NaN becomes black. Each image is treated by
    itself, so the result does not depend on the split into batches; the input is never changed.

    Args:
        images: Shape ``(images, channels, height, width)`` with 1 or 3 channels, uint8 or any floating dtype.
        denormalize: The normalisation to undo, or a function from float32 images to images in ``[0, 1]`` or uint8.

    Returns:
        Shape ``(images, 3, height, width)``, uint8, on the device of ``images``.

    Raises:
        ValueError:
            If ``images`` or what ``denormalize`` returns has another shape or dtype.

    Example:
        >>> grey = torch.tensor([0.0, 0.5, 1.0]).reshape(3, 1, 1, 1)
        >>> to_uint8(grey)[:, :, 0, 0]
        tensor([[  0,   0,   0],
                [128, 128, 128],
                [255, 255, 255]], dtype=torch.uint8)

    """
    _check_images("images", images)
    canonical = torch.empty(len(images), 3, *images.shape[2:], dtype=torch.uint8, device=images.device)
    restore = _stretch if denormalize is None else _as_it_is
    if isinstance(denormalize, Normalisation):
        restore = denormalize.undo
    elif denormalize is not None and images.dtype != torch.uint8:
        images = _denormalized(images, denormalize)
    if images.dtype == torch.uint8:
        return canonical.copy_(images)
    size = _images_at_once(images)
    for part, target in zip(torch.split(images, size), torch.split(canonical, size), strict=True):
        unit = restore(part.detach().to(torch.float32)).nan_to_num(nan=0.0, posinf=1.0, neginf=0.0)
        target.copy_(unit.clamp_(0, 1).mul_(255).round_())
    return canonical


def out_of_range(images: Tensor) -> Tensor:
    """Tell which images cannot be plain ones in ``[0, 1]``, so that `to_uint8` must be told how to denormalize them.

    Args:
        images: Shape ``(images, channels, height, width)``.

    Returns:
        Shape ``(images,)``, bool, on the device of ``images``; all false for uint8. Values up to 0.05 outside, as
        resampling leaves them, do not count, nor do NaN and infinity.

    Example:
        >>> out_of_range(torch.tensor([0.5, -2.0]).reshape(2, 1, 1, 1))
        tensor([False,  True])

    """
    if images.dtype == torch.uint8 or images.numel() == 0:
        return torch.zeros(len(images), dtype=torch.bool, device=images.device)
    parts = torch.split(images.detach(), _images_at_once(images))
    return torch.cat([_is_outside(*_finite_range(part.to(torch.float32))) for part in parts])


def _images_at_once(images: Tensor) -> int:
    """Return how many images to work on at a time, so that intermediate results stay in the processor's cache."""
    elements = _ELEMENTS_IN_CACHE if images.device.type == "cpu" else _ELEMENTS_ON_ACCELERATOR
    return max(1, elements // max(1, images[:1].numel()))


def _denormalized(images: Tensor, denormalize: Callable[[Tensor], Tensor]) -> Tensor:
    restored = denormalize(images.detach().to(torch.float32, copy=True))
    _check_images("denormalize(images)", restored)
    if restored.shape != images.shape:
        raise ValueError(
            f"Expected `denormalize` to keep the shape {tuple(images.shape)} but got {tuple(restored.shape)}."
        )
    return restored


def _as_it_is(images: Tensor) -> Tensor:
    return images


def _stretch(images: Tensor) -> Tensor:
    """Stretch the images that are out of range between their minimum and maximum."""
    if images.numel() == 0:
        return images
    low, high = _finite_range(images)
    outside = _is_outside(low, high)
    if not outside.any():
        return images
    low, high, outside = (value[:, None, None, None] for value in (low, high, outside))
    stretched = (images - low) / (high - low).clamp_min(torch.finfo(torch.float32).tiny)
    return torch.where(outside, stretched, images)


def _is_outside(low: Tensor, high: Tensor) -> Tensor:
    return (low < -_RANGE_SLACK) | (high > 1 + _RANGE_SLACK)


def _finite_range(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return minimum and maximum per image over its finite values."""
    flat = images.flatten(1)
    low, high = flat.amin(dim=1), flat.amax(dim=1)
    if bool((low.isfinite() & high.isfinite()).all()):
        return low, high
    finite = flat.isfinite()
    low = flat.where(finite, torch.inf).amin(dim=1)
    high = flat.where(finite, -torch.inf).amax(dim=1)
    return low.where(finite.any(dim=1), 0.0), high.where(finite.any(dim=1), 0.0)


def _check_images(name: str, images: object) -> None:
    is_image = isinstance(images, Tensor) and images.ndim == 4 and images.shape[1] in (1, 3)
    if not is_image or not (images.is_floating_point() or images.dtype == torch.uint8):  # type: ignore[attr-defined]
        raise ValueError(
            f"Expected `{name}` to be a tensor of floats or uint8 with shape (images, 1 or 3, height, width) "
            f"but got {_describe(images)}."
        )


def _tensors(node: object, first: Sequence[str]) -> Iterator[Tensor]:
    """Give the tensors of a nested batch, depth first, members named in ``first`` before the others."""
    if isinstance(node, Tensor):
        yield node
        return
    for _, member in sorted(_members(node), key=lambda item: _position(item[0], first)):
        yield from _tensors(member, first)


def _members(node: object) -> list[tuple[object, object]]:
    if isinstance(node, Mapping):
        return list(node.items())
    if isinstance(node, (list, tuple)):
        return list(enumerate(node))
    if is_dataclass(node) and not isinstance(node, type):
        return [(field.name, getattr(node, field.name, None)) for field in fields(node)]
    return []


def _position(name: object, first: Sequence[str]) -> int:
    return first.index(name) if isinstance(name, str) and name in first else len(first)


def _describe(node: object, depth: int = 3) -> str:
    """Return the structure of a batch in one line."""
    if isinstance(node, Tensor):
        return f"{str(node.dtype).removeprefix('torch.')} tensor {tuple(node.shape)}"
    kind, members = type(node).__name__, _members(node)
    if not members or depth == 0:
        return kind
    shown = [
        _describe(member, depth - 1) if isinstance(name, int) else f"{name!r}: {_describe(member, depth - 1)}"
        for name, member in members[:_DESCRIBED_MEMBERS]
    ]
    return f"{kind}({', '.join(shown)}{', ...' if len(members) > _DESCRIBED_MEMBERS else ''})"
