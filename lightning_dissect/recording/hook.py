"""The forward hook on one layer."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lightning_dissect.recording.layers import SelectedLayer
from lightning_dissect.recording.layout import Layout, find_layout, main_tensor
from lightning_dissect.recording.pooling import Pooling, fitted, is_built_in
from lightning_dissect.recording.traits import TraitReader

_POOLED_AS_THEY_ARE = (torch.float32, torch.bfloat16, torch.float16)


@dataclass(frozen=True)
class _Reduction:
    """How outputs of one shape become one number per image and neuron."""

    shape: torch.Size
    rows: int
    layout: Layout
    pooling: Pooling
    built_in: bool


class LayerHook:
    """Pools what one layer returns, call by call, during a batch.

    It never raises inside the model's forward and never changes the output: a failure is kept as a sentence, and the
    layer is not recorded any more. Copies and pickles of a hook, and a hook that was retired, do nothing.

    Args:
        layer: The layer it is for.

    Example:
        >>> from lightning_dissect.recording.layers import select_layers
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 3))
        >>> hook = LayerHook(select_layers(model, "0")["0"])
        >>> handle = model[0].register_forward_hook(hook)
        >>> hook.active = True
        >>> hook.start_batch(4)
        >>> output = model(torch.ones(4, 3, 5, 5))
        >>> hook.take().shape
        torch.Size([4, 8])
        >>> handle.remove()

    """

    def __init__(self, layer: SelectedLayer) -> None:
        self.name = layer.name
        self.pooling = layer.pooling
        self.traits = TraitReader().read(layer.module, name=layer.name) if layer.traits is None else layer.traits
        self.active = False
        self.fired = False
        self.failure: str | None = None
        self._rows: int | None = None
        self._calls: list[Tensor] = []
        self._reduction: _Reduction | None = None

    def __call__(self, module: nn.Module, args: tuple[object, ...], output: object) -> None:
        """Pool the output of one call of the layer, if a batch is open."""
        del module, args
        if not self.active or self._rows is None:
            return
        self.fired = True
        if self.failure is not None:
            return
        try:
            self._calls.append(self._pooled(main_tensor(output), self._rows))
        except Exception as error:  # noqa: BLE001 - whatever goes wrong here must not stop the user's forward
            self.fail(error)

    def start_batch(self, rows: int) -> None:
        """Forget earlier calls and listen to a batch of ``rows`` images."""
        self._rows = rows
        self._calls = []

    def take(self) -> Tensor | None:
        """Close the batch and return its pooled activations.

        Returns:
            Shape ``(images, neurons)`` float32 on the layer's device; ``None`` if the layer did not fire or has failed.

        Raises:
            ValueError:
                If the layer's calls do not make up the batch.

        """
        calls, rows = self._calls, self._rows
        self._calls, self._rows = [], None
        if self.failure is not None or not calls:
            return None
        counts = [len(call) for call in calls]
        if sum(counts) == rows:
            return calls[0] if len(calls) == 1 else torch.cat(calls)
        if all(count == rows for count in counts):
            return calls[-1]
        raise ValueError(
            f"expected its output to have {rows} rows, one per image, but its calls gave {counts}. The images may be "
            "folded together with windows, crops, frames or time steps here; choose a layer outside of that."
        )

    def fail(self, error: Exception) -> None:
        """Keep the first failure, as a sentence, and drop the open batch."""
        self._calls = []
        if self.failure is None:
            reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            self.failure = f"Layer {self.name!r} cannot be recorded: {reason}"

    def reset(self) -> None:
        """Forget the open batch, the failure and that the layer fired."""
        self._rows, self._calls = None, []
        self.fired, self.failure = False, None

    def retire(self) -> None:
        """Stop listening, even if the hook stays on its module."""
        self._rows, self._calls = None, []
        self.active = False

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "active": False, "_rows": None, "_calls": [], "_reduction": None}

    def _pooled(self, output: Tensor, rows: int) -> Tensor:
        if output.is_complex():
            raise ValueError(f"expected a real output but got {output.dtype}; choose the layer before or after it.")
        reduction = self._reduction
        if reduction is None or reduction.shape != output.shape or reduction.rows != rows:
            reduction = self._reduction = self._find_reduction(output, rows)
        with torch.no_grad(), _without_autocast(output.device.type):
            values = reduction.layout.canonical(output.detach())
            if values.ndim > 2:
                images = values.shape[0]
                if not reduction.built_in or values.dtype not in _POOLED_AS_THEY_ARE:
                    values = values.to(torch.float32, copy=not reduction.built_in)
                values = reduction.pooling.pool(values)
                _check_pooled(values, images)
            return values.to(torch.float32, copy=True)

    def _find_reduction(self, output: Tensor, rows: int) -> _Reduction:
        layout = find_layout(
            output.shape,
            rows,
            self.traits,
            channel_axis=getattr(self.pooling, "channel_axis", None),
            special_tokens=getattr(self.pooling, "special_tokens", None),
        )
        pooling = fitted(self.pooling, special_tokens=layout.special_tokens, class_token=layout.class_token)
        return _Reduction(output.shape, rows, layout, pooling, is_built_in(pooling))


def drop_stale_hooks(module: nn.Module) -> None:
    """Remove hooks of earlier recordings that were left on a module, as copies of a model keep them."""
    for key, hook in list(module._forward_hooks.items()):
        if isinstance(hook, LayerHook) and not hook.active:
            del module._forward_hooks[key]


def _check_pooled(values: object, images: int) -> None:
    if not isinstance(values, Tensor) or values.ndim != 2 or len(values) != images:
        got = f"shape {tuple(values.shape)}" if isinstance(values, Tensor) else type(values).__name__
        raise ValueError(f"expected `pool` to return a tensor of shape ({images}, neurons) but got {got}.")


def _without_autocast(device_type: str) -> AbstractContextManager[object]:
    if torch.amp.is_autocast_available(device_type) and torch.is_autocast_enabled(device_type):
        return torch.autocast(device_type, enabled=False)
    return nullcontext()
