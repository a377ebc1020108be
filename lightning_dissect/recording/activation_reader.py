"""Running images of any origin through a model to see how its neurons answer."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from lightning_dissect.checks import check_positive
from lightning_dissect.fingerprint import fingerprint
from lightning_dissect.recording.layers import SelectedLayer
from lightning_dissect.recording.recorder import ActivationRecorder

_PROBING_SIDE = 32


class ActivationReader:
    """Reads the pooled activations of chosen layers on images that are no part of a validation.

    The model runs in evaluation mode and without gradients; modes, hooks and random state are left as found.

    Args:
        model: The model.
        layers: Layers by name, from `select_layers`.
        preprocess: From images, shape ``(images, 3, height, width)``, uint8, on the CPU, to what ``forward`` takes.
        forward: Runs the model on what ``preprocess`` returns; by default the model is called with it.
        batch_size: Images that are run at a time.

    Example:
        >>> from lightning_dissect.recording import select_layers
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(12, 4))
        >>> reader = ActivationReader(model, select_layers(model, ["1"]), lambda images: images / 255)
        >>> reader.read(torch.zeros(5, 3, 2, 2, dtype=torch.uint8))["1"].shape
        torch.Size([5, 4])

    """

    def __init__(
        self,
        model: nn.Module,
        layers: Mapping[str, SelectedLayer],
        preprocess: Callable[[Tensor], Tensor],
        forward: Callable[[Tensor], object] | None = None,
        batch_size: int = 32,
    ) -> None:
        check_positive("batch_size", batch_size)
        self.model = model
        self.layers = layers
        self.preprocess = preprocess
        self.forward = model if forward is None else forward
        self.batch_size = batch_size

    def read(self, images: Tensor) -> dict[str, Tensor]:
        """Return the activations of every layer.

        Args:
            images: RGB images, shape ``(images, 3, height, width)``, uint8.

        Returns:
            By the name of the layer, shape ``(images, units)``, float32 on the CPU, in the order of the images.

        Raises:
            RuntimeError:
                If a layer cannot be recorded.

        """
        recorder = ActivationRecorder(self.layers)
        with _evaluating(self.model), torch.inference_mode(), recorder:
            for start in range(0, len(images), self.batch_size):
                batch = images[start : start + self.batch_size]
                recorder.start_batch(torch.arange(start, start + len(batch)))
                self.forward(self.preprocess(batch))
                recorder.end_batch()
        reasons = recorder.failures | dict.fromkeys(recorder.silent_layers, "It did not run.")
        if reasons:
            each = "; ".join(f"{layer}: {reason}" for layer, reason in reasons.items())
            raise RuntimeError(f"Expected every layer to be recorded but some were not. {each}")
        return {name: pooled.compute()[1].float().clone() for name, pooled in recorder.activations.items()}

    def fingerprint(self) -> str:
        """Return a key of weights, buffers, layers, pooling and preprocessing: equal keys mean equal activations."""
        images = torch.arange(3 * _PROBING_SIDE**2).mul(37).remainder(256).to(torch.uint8)
        seen = self.preprocess(images.view(1, 3, _PROBING_SIDE, _PROBING_SIDE))
        state = self.model.state_dict()
        tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
        poolings = [f"{name} {layer.pooling!r}" for name, layer in self.layers.items()]
        return fingerprint(list(tensors), *tensors.values(), poolings, seen)


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode, and every module back into the mode that it was in."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
