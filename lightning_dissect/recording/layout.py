"""From whatever a module returns to one tensor with images in dimension 0 and channels in dimension 1."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isqrt

from torch import Size, Tensor

from lightning_dissect.recording.traits import LayerTraits, Side

SMALLEST_GRID = 4


@dataclass(frozen=True)
class Layout:
    """Where images, channels and special tokens are in a layer's output.

    Args:
        batch_axis: Dimension of the images: 0, or 1 for sequences of shape ``(tokens, images, channels)``.
        channel_axis: Dimension of the channels once the images are in dimension 0.
        special_tokens: Tokens at the front of a sequence that stand for no part of the image; 0 for maps.
        class_token: Whether the first of them is a class token.

    """

    batch_axis: int = 0
    channel_axis: int = 1
    special_tokens: int = 0
    class_token: bool = False

    def canonical(self, output: Tensor) -> Tensor:
        """Return a view of ``output`` of shape ``(images, neurons, *positions)``."""
        images_first = output.movedim(self.batch_axis, 0) if self.batch_axis else output
        return images_first if self.channel_axis == 1 else images_first.movedim(self.channel_axis, 1)


def main_tensor(output: object) -> Tensor:
    """Pick the tensor out of what a module returned.

    A tensor is itself. Of a mapping (which Hugging Face's model outputs are) it is ``last_hidden_state`` if there is
    one; else, as of lists and tuples, the first tensor with at least one dimension (a loss has none), looked for in
    depth. A tensor of one dimension is one neuron: it becomes ``(images, 1)``.

    Args:
        output: What the module returned.

    Returns:
        A tensor of at least two dimensions, not copied.

    Raises:
        ValueError:
            If there is no such tensor.

    Example:
        >>> import torch
        >>> main_tensor({"loss": torch.tensor(0.5), "logits": (torch.ones(4, 10), None)}).shape
        torch.Size([4, 10])

    """
    for tensor in _tensors(output):
        if tensor.ndim > 0:
            return tensor if tensor.ndim > 1 else tensor.unsqueeze(1)
    raise ValueError(
        f"Expected the output to hold a tensor with a dimension for the images but got {type(output).__name__}."
    )


def _tensors(output: object) -> Iterable[Tensor]:
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, Mapping):
        if isinstance(output.get("last_hidden_state"), Tensor):
            yield output["last_hidden_state"]
        yield from _tensors(list(output.values()))
    elif isinstance(output, (list, tuple)):
        for element in output:
            yield from _tensors(element)


def find_layout(
    shape: Size | tuple[int, ...],
    rows: int,
    traits: LayerTraits,
    channel_axis: int | None = None,
    special_tokens: int | None = None,
) -> Layout:
    """Find images, channels and special tokens in an output.

    **Images** are in dimension 0. Only in an output of three dimensions with the channels last may they be in dimension
    1: if only dimension 1 has as many elements as there are images, or if dimensions 0 and 1 do not decide and the
    attention modules around the layer are sequence-first.

    **Channels** are where the layer's own type puts them. For other modules three witnesses vote for dimension 1 or the
    last: equal spatial sizes (``(8, 96, 7, 7)`` for 1, ``(8, 7, 7, 96)`` for the last), the side on which the modules
    inside the layer agree, and which of the two sizes is the number of channels of one of these modules. A tie means
    the last dimension for an output of three dimensions (tokens), else dimension 1.

    **Special tokens** are as many as the model's own attributes tell, unless all tokens form a square and those after
    the special ones do not (then the special ones have not joined the sequence yet). If nothing tells, one more token
    than a square of at least 4 x 4 means a class token, any other number none.

    Args:
        shape: Shape of the output, at least two dimensions.
        rows: Number of images in the batch.
        traits: What the modules tell.
        channel_axis: What the user says, dimension of the channels in an output with images in dimension 0.
        special_tokens: What the user says.

    Raises:
        ValueError:
            If ``channel_axis`` is not a dimension of the output.

    Example:
        >>> find_layout((8, 50, 64), rows=8, traits=LayerTraits())
        Layout(batch_axis=0, channel_axis=2, special_tokens=1, class_token=True)

    """
    if len(shape) == 2:
        return Layout()
    axis = _channel_axis(shape, traits) if channel_axis is None else _checked_axis(channel_axis, len(shape))
    if len(shape) != 3 or axis == 1:
        return Layout(channel_axis=axis)
    batch_axis = _batch_axis(shape, rows, traits)
    found = _special_tokens(shape[1 - batch_axis], traits) if special_tokens is None else special_tokens
    return Layout(batch_axis, axis, found, found > 0 and traits.class_token is not False)


def _checked_axis(axis: int, dimensions: int) -> int:
    if axis % dimensions == 0 or not -dimensions < axis < dimensions:
        raise ValueError(
            f"Expected `channel_axis` to be a dimension after the images in an output of {dimensions} dimensions "
            f"but got {axis}."
        )
    return axis % dimensions


def _batch_axis(shape: Size | tuple[int, ...], rows: int, traits: LayerTraits) -> int:
    matches = (shape[0] == rows, shape[1] == rows)
    if matches[0] == matches[1]:
        return int(traits.sequence_first is True)
    return int(matches[1] and traits.sequence_first is not False)


def _channel_axis(shape: Size | tuple[int, ...], traits: LayerTraits) -> int:
    side = traits.fixed
    if side is None:
        votes = [_by_sizes(shape), traits.kind, _by_width(shape, traits.widths)]
        first, last = votes.count("first"), votes.count("last")
        side = "first" if first > last or (first == last and len(shape) > 3) else "last"
    return 1 if side == "first" else len(shape) - 1


def _by_sizes(shape: Size | tuple[int, ...]) -> Side | None:
    if len(shape) < 4:
        return None
    return _only(first=shape[-1] == shape[-2], last=shape[-2] == shape[-3])


def _by_width(shape: Size | tuple[int, ...], widths: frozenset[int]) -> Side | None:
    return _only(first=shape[1] in widths, last=shape[-1] in widths)


def _only(*, first: bool, last: bool) -> Side | None:
    if first == last:
        return None
    return "first" if first else "last"


def _special_tokens(tokens: int, traits: LayerTraits) -> int:
    told = traits.special_tokens
    if told is None:
        return int(tokens > SMALLEST_GRID**2 and _is_square(tokens - 1))
    not_joined_yet = _is_square(tokens) and not _is_square(tokens - told)
    return 0 if not_joined_yet or tokens <= told else told


def _is_square(number: int) -> bool:
    return number > 0 and isqrt(number) ** 2 == number
