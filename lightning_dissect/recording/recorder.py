"""Recording a model's activations through forward hooks."""

import weakref
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

from lightning_dissect.recording.eager import EAGER_EXECUTION
from lightning_dissect.recording.hook import LayerHook, drop_stale_hooks
from lightning_dissect.recording.layers import SelectedLayer
from lightning_dissect.recording.pooled import PooledActivations, check_sample_ids


class ActivationRecorder:
    """Records pooled activations of chosen layers while a model runs, and leaves the model as it was.

    Hooks are on the layers only while the recorder is attached (`with recorder:` or `attach` and `detach`) and listen
    only between `start_batch` and `end_batch`. Outputs are reduced to one number per image and neuron inside the hook,
    in float32 without autocast, and copied, so that in-place operations later in the forward do not reach them. They
    stay on their device until the batch ends, so that an accelerator is waited for once per batch. The
    model's outputs stay bit-identical, except where PyTorch itself takes another path for hooked modules (the fused
    kernel of `nn.TransformerEncoderLayer`); compiled models run eagerly meanwhile and keep their graphs.

    A layer that fires several times per batch: if the rows of its calls add up to the batch, they are concatenated; if
    every call has all rows, the last call counts; anything else is a failure.

    A layer that cannot be recorded never disturbs the forward: the reason is in `failures`, and its activations are
    incomplete. A recorder that is thrown away while attached takes its hooks along; copies and pickles are detached.

    Args:
        layers: Layers by name, from `select_layers`.

    Attributes:
        activations: The activations recorded so far, by layer.

    Example:
        >>> from torch import nn
        >>> from lightning_dissect.recording.layers import select_layers
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(72, 10))
        >>> recorder = ActivationRecorder(select_layers(model, ["0", "Linear"]))
        >>> with recorder:
        ...     recorder.start_batch(torch.tensor([12, 10]))
        ...     output = model(torch.ones(2, 3, 5, 5))
        ...     recorder.end_batch()
        >>> sample_ids, activations = recorder.activations["0"].compute()
        >>> sample_ids.tolist(), activations.shape
        ([10, 12], torch.Size([2, 8]))

    """

    def __init__(self, layers: Mapping[str, SelectedLayer]) -> None:
        self.layers = dict(layers)
        self.activations = {name: PooledActivations() for name in self.layers}
        self._hooks = {name: LayerHook(layer) for name, layer in self.layers.items()}
        self._sample_ids: Tensor | None = None
        self._release: weakref.finalize[[], ActivationRecorder] | None = None

    @property
    def failures(self) -> dict[str, str]:
        """Why layers could not be recorded since the last `reset`, by layer."""
        return {name: hook.failure for name, hook in self._hooks.items() if hook.failure is not None}

    @property
    def silent_layers(self) -> list[str]:
        """Layers that did not fire in any batch since the last `reset`."""
        return [name for name, hook in self._hooks.items() if not hook.fired]

    def attach(self) -> None:
        """Put the hooks on the layers; hooks that are there already are removed first."""
        self.detach()
        with ExitStack() as stack:
            EAGER_EXECUTION.acquire()
            stack.callback(EAGER_EXECUTION.release)
            for name, hook in self._hooks.items():
                module = self.layers[name].module
                drop_stale_hooks(module)
                stack.callback(module.register_forward_hook(hook).remove)
                hook.active = True
                stack.callback(hook.retire)
            self._release = weakref.finalize(self, stack.pop_all().close)
            self._release.atexit = False

    def detach(self) -> None:
        """Take the hooks off and drop an open batch; without effect if the recorder is not attached."""
        if self._release is not None:
            self._release()
        self._release = None
        self._sample_ids = None

    def __enter__(self) -> "ActivationRecorder":
        self.attach()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.detach()

    def start_batch(self, sample_ids: Tensor) -> None:
        """Listen to the forwards of one batch. A batch that is still open is dropped.

        Args:
            sample_ids: Id of each image in the batch, integers, shape ``(images,)``.

        Raises:
            RuntimeError:
                If the recorder is not attached.
            ValueError:
                If ``sample_ids`` is not a 1-D tensor of integers.

        """
        if self._release is None:
            raise RuntimeError(
                "Expected the recorder to be attached but it is not: use `with recorder:` or `attach()`."
            )
        check_sample_ids(sample_ids)
        self._sample_ids = sample_ids.detach().cpu()
        for hook in self._hooks.values():
            hook.start_batch(len(sample_ids))

    def end_batch(self, keep: Tensor | None = None) -> None:
        """Add what the layers gave for the batch to `activations`.

        Args:
            keep: Images that count, booleans, shape ``(images,)``; all of them by default.

        Raises:
            RuntimeError:
                If there is no open batch.
            ValueError:
                If ``keep`` does not fit the batch.

        """
        if self._sample_ids is None:
            raise RuntimeError("Expected an open batch but there is none: call `start_batch` first.")
        sample_ids, self._sample_ids = self._sample_ids, None
        kept = torch.ones_like(sample_ids, dtype=torch.bool) if keep is None else keep.cpu()
        if kept.dtype != torch.bool or kept.shape != sample_ids.shape:
            raise ValueError(
                f"Expected `keep` to hold {len(sample_ids)} booleans, one per image of the batch, "
                f"but got shape {tuple(kept.shape)} of {kept.dtype}."
            )
        taken = self._take()
        rows = slice(None) if bool(kept.all()) else kept
        for name, values in taken.items():
            with _failure_kept(self._hooks[name]):
                self.activations[name].update(sample_ids[rows], values[rows])

    def reset(self) -> None:
        """Forget all activations, failures and firings, and drop an open batch; stay attached or not."""
        self._sample_ids = None
        for name, hook in self._hooks.items():
            self.activations[name].reset()
            hook.reset()

    def _take(self) -> dict[str, Tensor]:
        """Return what the layers gave for the batch, on the CPU, waiting once for each accelerator."""
        taken: dict[str, Tensor] = {}
        accelerators: set[torch.device] = set()
        for name, hook in self._hooks.items():
            with _failure_kept(hook):
                values = hook.take()
                if values is not None:
                    taken[name] = values.to("cpu", non_blocking=True)
                    accelerators |= {values.device} - {taken[name].device}
        for accelerator in accelerators:
            torch.accelerator.synchronize(accelerator)
        return taken

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_release": None, "_sample_ids": None}


@contextmanager
def _failure_kept(hook: LayerHook) -> Iterator[None]:
    """Let a layer that cannot be recorded fail alone."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        hook.fail(error)
