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
from lightning_dissect.recording.storage import ActivationStorage
from lightning_dissect.recording.transfer import HostTransfer


class ActivationRecorder:
    """Records pooled activations of chosen layers while a model runs, and leaves the model as it was.

    Hooks are on the layers only while the recorder is attached (`with recorder:` or `attach` and `detach`) and listen
    only between `start_batch` and `end_batch`. Outputs are reduced to one number per image and neuron inside the hook,
    in float32 without autocast, and copied, so that in-place operations later in the forward do not reach them. They
    stay on their device until the batch ends and then travel to the CPU while the next one runs, so that nobody waits
    for an accelerator: they are stored when the next batch ends or when somebody asks for them. The model's outputs
    stay bit-identical, except where PyTorch itself takes another path for hooked modules (the fused kernel of
    `nn.TransformerEncoderLayer`); compiled models run eagerly meanwhile and keep their graphs.

    A layer that fires several times per batch: if the rows of its calls add up to the batch, they are concatenated; if
    every call has all rows, the last call counts; anything else is a failure.

    A layer that cannot be recorded never disturbs the forward: the reason is in `failures`, and its activations are
    incomplete. A recorder that is thrown away while attached takes its hooks along; copies and pickles are detached.

    Args:
        layers: Layers by name, from `select_layers`.
        storage: Where the activations of all layers are held; by default all in memory.
        max_units: Most neurons kept per layer, evenly spaced over the layer; all of them by default.

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

    def __init__(
        self,
        layers: Mapping[str, SelectedLayer],
        storage: ActivationStorage | None = None,
        max_units: int | None = None,
    ) -> None:
        self.layers = dict(layers)
        self.max_units = max_units
        storage = ActivationStorage() if storage is None else storage
        self._activations = {name: PooledActivations(storage) for name in self.layers}
        self._travelling: tuple[HostTransfer, Tensor, Tensor | None] | None = None
        self._hooks = {name: LayerHook(layer) for name, layer in self.layers.items()}
        self._sample_ids: Tensor | None = None
        self._release: weakref.finalize[[], ActivationRecorder] | None = None

    @property
    def activations(self) -> dict[str, PooledActivations]:
        """The activations recorded so far, by layer."""
        self._store()
        return self._activations

    @property
    def num_bytes(self) -> int:
        """Bytes of the activations recorded so far, in memory and in files."""
        return sum(state.num_bytes for state in self.activations.values())

    @property
    def failures(self) -> dict[str, str]:
        """Why layers could not be recorded since the last `reset`, by layer."""
        self._store()
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
        values = self._take()
        self._store()
        self._travelling = HostTransfer(values), sample_ids, None if bool(kept.all()) else kept
        if not self._travelling[0].pending:
            self._store()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Do not listen to the forwards of a ``with`` block, even if a batch is open."""
        active = {hook: hook.active for hook in self._hooks.values()}
        for hook in active:
            hook.active = False
        try:
            yield
        finally:
            for hook, before in active.items():
                hook.active = before

    def reset(self) -> None:
        """Forget all activations, failures and firings, and drop an open batch; stay attached or not."""
        self._sample_ids = self._travelling = None
        for name, hook in self._hooks.items():
            self._activations[name].reset()
            hook.reset()

    def _take(self) -> dict[str, Tensor]:
        """Return what the layers gave for the batch, on their devices."""
        taken: dict[str, Tensor] = {}
        for name, hook in self._hooks.items():
            with _failure_kept(hook):
                values = hook.take()
                if values is not None:
                    taken[name] = _evenly_spaced(values, self.max_units)
        return taken

    def _store(self) -> None:
        """Add the batch that travels to the CPU to the activations."""
        if self._travelling is None:
            return
        (transfer, sample_ids, kept), self._travelling = self._travelling, None
        sample_ids = sample_ids if kept is None else sample_ids[kept]
        for name, values in transfer.wait().items():
            with _failure_kept(self._hooks[name]):
                self._activations[name].update(sample_ids, values if kept is None else values[kept])
        for name, error in transfer.failures.items():
            self._hooks[name].fail(error)

    def __getstate__(self) -> dict[str, Any]:
        self._store()
        return {**self.__dict__, "_release": None, "_sample_ids": None}


def _evenly_spaced(values: Tensor, most: int | None) -> Tensor:
    """Return at most so many columns, spread over all of them."""
    columns = values.shape[1]
    if most is None or columns <= most:
        return values
    return values[:, torch.arange(most, device=values.device) * columns // most]


@contextmanager
def _failure_kept(hook: LayerHook) -> Iterator[None]:
    """Let a layer that cannot be recorded fail alone."""
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        hook.fail(error)
