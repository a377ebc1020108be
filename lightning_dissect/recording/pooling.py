"""From a module's output to one number per image and neuron."""

from typing import Protocol, runtime_checkable

from torch import Tensor

from lightning_dissect.registry import Registry


@runtime_checkable
class Pooling(Protocol):
    """Reduces the output of a layer to one number per image and neuron."""

    def pool(self, output: Tensor) -> Tensor:
        """Reduce a layer's output.

        Args:
            output: Output with the channels in dimension 1, shape ``(images, neurons, ...)``, or tokens, shape
                ``(images, tokens, neurons)``.

        Returns:
            Shape ``(images, neurons)``.

        """
        ...


POOLINGS: Registry[Pooling] = Registry("pooling")
