"""What untrained copies of a model say of the very images that the model sees."""

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.jit import ScriptModule
from torch.utils._pytree import tree_map

from lightning_dissect.checks import check_positive
from lightning_dissect.recording import (
    ActivationRecorder,
    ActivationStorage,
    PooledActivations,
    SelectedLayer,
    named_layers,
)
from lightning_dissect.trust.entry_hooks import EntryHooks
from lightning_dissect.trust.untrained import calibrating, has_gathered_statistics, untrained_copy

_WITH_GENERATORS = ("cuda", "xpu")


class UntrainedNetworks:
    """Runs untrained copies of a model along with it and records the same layers of theirs.

    While attached, between `start_batch` and `end_batch`, whatever calls the model, or a part of it around the chosen
    layers, first has the same part of each copy run with copies of the same arguments: eagerly, in evaluation mode,
    without gradients and under whatever autocast and inference mode are in force. The model, its inputs, its buffers
    and the random state stay as they are, and no exception of a copy reaches the caller: it is kept in `failure`, and
    nothing is run any more.

    Where the model's normalisation layers have gathered statistics, each copy gathers its own from its first call, by
    one forward pass more, and is a fixed function of the image from there. No process waits for another: under a
    process group every process has the same weights, but statistics of its own images.

    An object that is thrown away while attached takes its hooks along; copies and pickles are detached.

    Args:
        model: The model that is dissected, plain, compiled or wrapped. Its copies are made when `attach` is first
            called, on its devices; see `bare_copy` for what is copied.
        select: Chooses the layers of the model and of each copy, as `select_layers` does.
        copies: How many untrained copies there are.
        seed: Seed of the first copy's weights, one higher for each further copy.
        storage: Where their activations are held; by default all in memory.
        max_units: Most units kept per layer and copy, evenly spaced over the layer.

    Attributes:
        failure: Why there are no features; ``None`` while all is well.

    Raises:
        ValueError:
            If ``copies`` or ``max_units`` is not positive.

    Example:
        >>> from lightning_dissect.recording import select_layers
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.LazyLinear(4))
        >>> _ = model(torch.rand(4, 3, 5, 5))
        >>> networks = UntrainedNetworks(model.eval(), lambda network: select_layers(network, ["2", "4"]), max_units=6)
        >>> networks.attach()
        >>> networks.start_batch(torch.arange(4))
        >>> _ = model(torch.rand(4, 3, 5, 5))
        >>> networks.end_batch()
        >>> networks.close()
        >>> sample_ids, features = networks.features("2")[0].compute()
        >>> networks.failure, sample_ids.tolist(), features.shape
        (None, [0, 1, 2, 3], torch.Size([4, 6]))

    """

    def __init__(
        self,
        model: nn.Module,
        select: Callable[[nn.Module], Mapping[str, SelectedLayer]],
        *,
        copies: int = 4,
        seed: int = 0,
        storage: ActivationStorage | None = None,
        max_units: int = 512,
    ) -> None:
        check_positive("copies", copies)
        check_positive("max_units", max_units)
        self.copies = copies
        self.seed = seed
        self.max_units = max_units
        self.failure: str | None = None
        self._model = named_layers(model)[""]
        self._select = select
        self._storage = ActivationStorage() if storage is None else storage
        self._networks: list[_Network] = []
        self._activations: list[dict[str, PooledActivations]] = []
        self._layer_failures: dict[str, str] = {}
        self._calibrates = False
        self._hooks: EntryHooks | None = None
        self._sample_ids: Tensor | None = None

    @property
    def layer_failures(self) -> dict[str, str]:
        """Why layers could not be recorded in some copy, by layer; `features` has only a part of them."""
        self._collect()
        return self._layer_failures

    def features(self, layer: str) -> list[PooledActivations]:
        """Return what was recorded of a layer so far, for each copy; nothing after a `failure`.

        Args:
            layer: Name of the layer.

        """
        self._collect()
        return [activations[layer] for activations in self._activations]

    def attach(self) -> None:
        """Make the copies if there are none, and put hooks on the model and on them. After a `failure` do nothing."""
        self.detach()
        if self.failure is None:
            with self._failure_kept(), _random_state_kept(self._model):
                self._networks = self._networks or self._make_networks()
                self._hooks = EntryHooks(_with_ancestors(self._model, self._select(self._model)), self._replay)
                self._hooks.attach()
                for network in self._networks:
                    network.recorder.attach()

    def detach(self) -> None:
        """Take the hooks off and drop an open batch; harmless if there are none. Copies and features stay."""
        if self._hooks is not None:
            self._hooks.detach()
        self._hooks = self._sample_ids = None
        for network in self._networks:
            network.recorder.detach()

    def close(self) -> None:
        """Take the hooks off and free the copies. Features stay, until `attach` begins anew."""
        self.detach()
        self._collect()
        self._networks = []

    def start_batch(self, sample_ids: Tensor) -> None:
        """Have the copies run along with the forward passes of one batch. A batch that is still open is dropped.

        Args:
            sample_ids: Id of each image in the batch, integers, shape ``(images,)``.

        """
        if self._hooks is not None and self.failure is None:
            self._hooks.reset()
            self._sample_ids = sample_ids
            with self._failure_kept():
                for network in self._networks:
                    network.recorder.start_batch(sample_ids)

    def end_batch(self, keep: Tensor | None = None) -> None:
        """Add what the copies gave for the batch to the features; without effect if no batch is open.

        Args:
            keep: Images that count, booleans, shape ``(images,)``; all of them by default.

        """
        if self._sample_ids is not None:
            self._sample_ids = None
            with self._failure_kept():
                for network in self._networks:
                    network.recorder.end_batch(keep)

    def _make_networks(self) -> list["_Network"]:
        self._activations, self._layer_failures = [], {}
        copies = [untrained_copy(self._model, self.seed + number) for number in range(self.copies)]
        self._calibrates = has_gathered_statistics(self._model)
        return [
            _Network(named_layers(copy), ActivationRecorder(self._select(copy), self._storage, self.max_units))
            for copy in copies
        ]

    def _collect(self) -> None:
        if self._networks:
            self._activations = [network.recorder.activations for network in self._networks]
            failures = [network.recorder.failures for network in self._networks]
            self._layer_failures = {layer: reason for of_network in failures for layer, reason in of_network.items()}

    def _replay(self, entry: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Run the same part of every copy."""
        if self._sample_ids is not None and self.failure is None:
            with self._failure_kept(), _random_state_kept(self._model), torch.no_grad():
                for network in self._networks:
                    if self._calibrates:
                        network.calibrate(entry, args, kwargs)
                    network.run(entry, args, kwargs)

    @contextmanager
    def _failure_kept(self) -> Iterator[None]:
        """Let nothing but the floor suffer from an error."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever goes wrong here must not stop the user's forward
            message = str(error).partition("\n")[0]
            reason = message if isinstance(error, ValueError) else f"{type(error).__name__}: {message}"
            self.failure = f"Untrained copies of the model cannot run along with it. {reason}"
            for network in self._networks:
                network.recorder.detach()
            self._networks, self._activations, self._layer_failures = [], [], {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_hooks": None, "_sample_ids": None}


@dataclass
class _Network:
    """An untrained copy: its parts by name, what records it, and the entries whose parts have their statistics."""

    parts: dict[str, nn.Module]
    recorder: ActivationRecorder
    calibrated: set[str] = field(default_factory=set)

    def calibrate(self, entry: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Let what is called gather statistics, the first time that it is."""
        if self.calibrated.isdisjoint(_names_around(entry)):
            self.calibrated.add(entry)
            with self.recorder.paused(), calibrating(self.parts[entry]):
                self.run(entry, args, kwargs)

    def run(self, entry: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Call a part with copies of the arguments."""
        copied_args, copied_kwargs = tree_map(_copied, (args, kwargs))
        self.parts[entry](*copied_args, **copied_kwargs)


def _copied(value: object) -> object:
    return value.detach().clone() if isinstance(value, Tensor) else deepcopy(value)


def _names_around(name: str) -> list[str]:
    """Return the name of a module and those of all modules around it, the whole model first."""
    components = name.split(".") if name else []
    return [".".join(components[:depth]) for depth in range(len(components) + 1)]


def _with_ancestors(model: nn.Module, layers: Mapping[str, SelectedLayer]) -> dict[str, nn.Module]:
    """Return the layers and the modules around them, as far as they can tell of their calls."""
    named = named_layers(model)
    names = (name for layer in layers for name in _names_around(layer))
    return {name: named[name] for name in names if not isinstance(named[name], ScriptModule)}


@contextmanager
def _random_state_kept(model: nn.Module) -> Iterator[None]:
    """Leave the random state of Python, NumPy, the CPU and the model's devices as found."""
    of_python, of_numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - the model may draw from it
    devices = {parameter.device for parameter in model.parameters()}
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices=[]))
        for kind in _WITH_GENERATORS:
            of_kind = sorted(device.index for device in devices if device.type == kind)
            if of_kind:
                stack.enter_context(torch.random.fork_rng(devices=of_kind, device_type=kind))
        stack.callback(random.setstate, of_python)
        stack.callback(np.random.set_state, of_numpy)
        yield
