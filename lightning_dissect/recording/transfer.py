"""Pooled activations on their way from an accelerator to the CPU."""

import torch
from torch import Tensor

_WITH_STREAMS = ("cuda", "xpu")


class HostTransfer:
    """Brings the values of one batch to the CPU without waiting for them.

    Copies from CUDA and XPU devices go into pinned memory and are queued behind the work that computes what they copy;
    one event per device, recorded behind the last of them, tells when all have arrived. Other devices are waited for.

    Args:
        values: Tensors on any devices, by name.

    Attributes:
        failures: Errors of tensors that cannot be copied, by name; the others arrive without them.

    Example:
        >>> transfer = HostTransfer({"layer1": torch.ones(2, 3)})
        >>> transfer.pending
        False
        >>> transfer.wait()["layer1"].shape
        torch.Size([2, 3])

    """

    def __init__(self, values: dict[str, Tensor]) -> None:
        self.failures: dict[str, Exception] = {}
        self._arriving: dict[str, Tensor] = {}
        devices = set()
        for name, tensor in values.items():
            queued = tensor.device.type in _WITH_STREAMS
            try:
                self._arriving[name] = tensor.to("cpu", non_blocking=queued)
            except (RuntimeError, ValueError) as error:
                self.failures[name] = error
            else:
                devices |= {tensor.device} if queued else set()
        self._events = [torch.accelerator.current_stream(device).record_event() for device in devices]

    @property
    def pending(self) -> bool:
        """Whether somebody would have to wait for the values."""
        return not all(event.query() for event in self._events)

    def wait(self) -> dict[str, Tensor]:
        """Return the values on the CPU once they have arrived, by name."""
        for event in self._events:
            event.synchronize()
        return self._arriving
