"""From a module's output to one number per image and neuron."""

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Protocol, cast, runtime_checkable

import torch
from torch import Tensor

from lightning_dissect.registry import Registry


@runtime_checkable
class Pooling(Protocol):
    """Reduces the output of a layer to one number per image and neuron.

    Outputs without positions, of shape ``(images, neurons)``, are recorded as they are: ``pool`` is not called for
    them. A pooling may say what it knows of the layer by attributes of these names:

    - ``channel_axis``: dimension of the channels in the layer's own output;
    - ``special_tokens``: how many tokens at the front of a sequence stand for no part of the image.

    If it is a dataclass, the recorder puts what it finds out into fields ``special_tokens`` and ``class_token``
    (whether the first special token is a class token) that are ``None``, before it calls ``pool``.

    Example:
        >>> import torch
        >>> class Spread:
        ...     def pool(self, output: Tensor) -> Tensor:
        ...         return output.flatten(2).std(dim=2)
        >>> isinstance(Spread(), Pooling)
        True
        >>> Spread().pool(torch.ones(4, 16, 7, 7)).shape
        torch.Size([4, 16])

    """

    def pool(self, output: Tensor) -> Tensor:
        """Reduce a layer's output.

        Args:
            output: Output of the layer in float32, channels always in dimension 1 and special tokens in front, shape
                ``(images, neurons, tokens)`` for sequences and ``(images, neurons, *positions)`` for maps. It is a copy
                and may be changed.

        Returns:
            Shape ``(images, neurons)``.

        """
        ...


_ELEMENTS_IN_CACHE = 2**18

POOLINGS: Registry[Pooling] = Registry("pooling")


@dataclass(frozen=True)
class _BuiltInPooling:
    channel_axis: int | None = None
    special_tokens: int | None = None

    def __post_init__(self) -> None:
        axis, tokens = self.channel_axis, self.special_tokens
        if axis is not None and (not isinstance(axis, int) or axis == 0):
            raise ValueError(f"Expected `channel_axis` to be a dimension other than 0 or None but got {axis!r}.")
        if tokens is not None and (not isinstance(tokens, int) or tokens < 0):
            raise ValueError(f"Expected `special_tokens` to be a number from 0 or None but got {tokens!r}.")

    def _positions(self, output: Tensor) -> Tensor:
        """Return shape ``(images, neurons, positions)`` without the special tokens of a sequence."""
        if output.ndim != 3:
            return output.flatten(2) if output.ndim > 2 else output.unsqueeze(2)
        special_tokens = self.special_tokens or 0
        if output.shape[2] <= special_tokens:
            raise ValueError(
                f"Expected more than `special_tokens` = {special_tokens} tokens but got {output.shape[2]}; "
                "set `special_tokens` of the pooling to what the layer has."
            )
        return output[:, :, special_tokens:]


@POOLINGS.register("mean")
@dataclass(frozen=True)
class MeanPooling(_BuiltInPooling):
    """Mean over the positions of a map, or over the tokens of a sequence that stand for a part of the image.

    Args:
        channel_axis: Dimension of the channels in the layer's output, images in dimension 0; ``None`` finds it.
        special_tokens: Tokens at the front of a sequence that are left out (class token, registers, distillation
            token); ``None`` finds their number, and counts as 0 where nothing can find it.

    Raises:
        ValueError:
            If ``channel_axis`` is 0 or no integer, or ``special_tokens`` is negative or no integer.

    Example:
        >>> import torch
        >>> MeanPooling().pool(torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]]))
        tensor([[3.]])
        >>> MeanPooling(special_tokens=1).pool(torch.tensor([[[100.0, 1.0, 3.0]]]))
        tensor([[2.]])

    """

    def pool(self, output: Tensor) -> Tensor:
        """Fulfil `Pooling.pool`."""
        return _mean(self._positions(output))


@POOLINGS.register("max")
@dataclass(frozen=True)
class MaxPooling(_BuiltInPooling):
    """Maximum over the positions of a map, or over the tokens of a sequence that stand for a part of the image.

    NaN wins over every number, so that it is seen.

    Args:
        channel_axis: As in `MeanPooling`.
        special_tokens: As in `MeanPooling`.

    Example:
        >>> import torch
        >>> MaxPooling().pool(torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]]))
        tensor([[6.]])

    """

    def pool(self, output: Tensor) -> Tensor:
        """Fulfil `Pooling.pool`."""
        return self._positions(output).amax(dim=2)


@POOLINGS.register("cls")
@dataclass(frozen=True)
class ClsPooling(_BuiltInPooling):
    """The first token of a sequence: the class token of vision transformers.

    Args:
        channel_axis: As in `MeanPooling`.
        special_tokens: Without effect; here so that all built-in poolings take the same arguments.

    Example:
        >>> import torch
        >>> ClsPooling().pool(torch.tensor([[[100.0, 1.0, 3.0]]]))
        tensor([[100.]])

    """

    def pool(self, output: Tensor) -> Tensor:
        """Fulfil `Pooling.pool`.

        Raises:
            ValueError:
                If ``output`` is a map: it has no tokens.

        """
        if output.ndim == 2:
            return output
        if output.ndim != 3:
            raise ValueError(
                f"Expected `output` to be a sequence of tokens for pooling 'cls' but got a map of shape "
                f"{tuple(output.shape)}; choose pooling 'mean' or 'max' for this layer."
            )
        return output[:, :, 0]


@POOLINGS.register("auto")
@dataclass(frozen=True)
class AutoPooling(_BuiltInPooling):
    """The rule of CLIP-Dissect, for every kind of layer: class token of a sequence if it has one, else the mean.

    Args:
        channel_axis: As in `MeanPooling`.
        special_tokens: As in `MeanPooling`.
        class_token: Whether the first special token is a class token; ``None`` finds out, and counts as true where
            nothing can find out but ``special_tokens`` is positive.

    Example:
        >>> import torch
        >>> sequence = torch.tensor([[[100.0, 1.0, 3.0]]])
        >>> AutoPooling(special_tokens=1).pool(sequence), AutoPooling(special_tokens=0).pool(sequence[..., 1:])
        (tensor([[100.]]), tensor([[2.]]))

    References:
        Oikarinen and Weng, CLIP-Dissect, ICLR 2023: spatial mean for convolutions, class token for vision transformers.
        https://arxiv.org/abs/2204.10965

    """

    class_token: bool | None = None

    def pool(self, output: Tensor) -> Tensor:
        """Fulfil `Pooling.pool`."""
        class_token = bool(self.special_tokens) if self.class_token is None else self.class_token
        if class_token and output.ndim == 3:
            return output[:, :, 0]
        return _mean(self._positions(output))


def is_built_in(pooling: Pooling) -> bool:
    """Return whether ``pooling`` is built in, so known to leave what it is given alone and to sum up in float32."""
    return type(pooling) in (MeanPooling, MaxPooling, ClsPooling, AutoPooling)


def _mean(positions: Tensor) -> Tensor:
    """Return the float32 mean over dimension 2.

    The processor makes a float32 copy of another dtype, which should fit its cache; an accelerator needs none.
    """
    if positions.dtype == torch.float32 or positions.device.type != "cpu":
        return positions.mean(dim=2, dtype=torch.float32)
    images = max(1, _ELEMENTS_IN_CACHE // max(1, positions[:1].numel()))
    return torch.cat([part.mean(dim=2, dtype=torch.float32) for part in torch.split(positions, images)])


def fitted(pooling: Pooling, **found: object) -> Pooling:
    """Return ``pooling`` with what was found out about a layer in the fields that its user left at ``None``.

    Args:
        pooling: Any pooling; only fields of dataclasses are filled in.
        found: Values by the name of the field; names that the pooling does not have are ignored.

    Example:
        >>> fitted(MeanPooling(), special_tokens=1, class_token=True)
        MeanPooling(channel_axis=None, special_tokens=1)
        >>> fitted(MeanPooling(special_tokens=5), special_tokens=1)
        MeanPooling(channel_axis=None, special_tokens=5)

    """
    fillable: Any = pooling if is_dataclass(pooling) else None
    if fillable is None:
        return pooling
    empty = {field.name for field in fields(fillable) if field.init and getattr(pooling, field.name) is None}
    return cast(Pooling, replace(fillable, **{name: value for name, value in found.items() if name in empty}))
