"""Tells when a model is called, at whichever of its modules the call begins."""

import weakref
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from types import MethodType
from typing import Any

from torch import nn

EntryListener = Callable[[str, tuple[Any, ...], dict[str, Any]], None]


class EntryHooks:
    """Calls a listener with what a model is called with, before it runs.

    A training step may call the model as a whole or only parts of it. Of the modules that are watched, the outermost
    that is running is the entry, and the listener hears of it alone. A module whose ``forward`` was exchanged since
    the hooks came on it is no entry: a Trainer does so for a moment to have a step run inside of its wrapper.

    Hooks are on the modules only while attached. They are taken off when the object is thrown away, and their copies
    and pickles do nothing.

    Args:
        modules: Modules to watch, by name: some layers and the modules around them.
        listener: Called with the name of the entry, positional and keyword arguments. A method is held weakly. It must
            not raise, and must not call what is watched: such a call is refused with a `RuntimeError`.

    Example:
        >>> import torch
        >>> model = nn.Sequential(nn.Sequential(nn.Flatten()))
        >>> heard = []
        >>> hooks = EntryHooks({"": model, "0": model[0]}, lambda name, args, kwargs: heard.append(name))
        >>> hooks.attach()
        >>> _ = model(torch.ones(1, 2)), model[0](torch.ones(1, 2))
        >>> hooks.detach()
        >>> heard
        ['', '0']

    """

    def __init__(self, modules: Mapping[str, nn.Module], listener: EntryListener) -> None:
        self._modules = dict(modules)
        self._calls = _Calls(listener)
        self._release: weakref.finalize[[], EntryHooks] | None = None

    def attach(self) -> None:
        """Put the hooks on the modules."""
        self.detach()
        with ExitStack() as stack:
            for name, module in self._modules.items():
                hook = _EntryHook(name, module, self._calls)
                stack.callback(module.register_forward_pre_hook(hook.enter, with_kwargs=True).remove)
                stack.callback(module.register_forward_hook(hook.leave, always_call=True).remove)
            self._release = weakref.finalize(self, stack.pop_all().close)
            self._release.atexit = False

    def detach(self) -> None:
        """Take the hooks off; harmless if there are none."""
        if self._release is not None:
            self._release()
        self._release = None
        self.reset()

    def reset(self) -> None:
        """Forget calls that have begun: an interrupted one never ends."""
        self._calls.running.clear()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_release": None}


class _Calls:
    """The watched modules that are running now, and who is to hear of a new entry; a copy knows of nobody."""

    def __init__(self, listener: EntryListener | None = None) -> None:
        self.running: list[nn.Module] = []
        self.listening = False
        self._listener = weakref.WeakMethod(listener) if isinstance(listener, MethodType) else lambda: listener

    def tell(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        listener = self._listener()
        if listener is not None:
            self.listening = True
            try:
                listener(name, args, kwargs)
            finally:
                self.listening = False

    def __reduce__(self) -> tuple[type["_Calls"], tuple[()]]:
        return _Calls, ()


class _EntryHook:
    def __init__(self, name: str, module: nn.Module, calls: _Calls) -> None:
        self._name = name
        self._forward = module.forward
        self._calls = calls

    def enter(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self._calls.listening:
            raise RuntimeError(f"Expected an untrained copy to run by itself but it calls {self._name!r} of the model.")
        if module.forward == self._forward:
            self._calls.running.append(module)
            if len(self._calls.running) == 1:
                self._calls.tell(self._name, args, kwargs)

    def leave(self, module: nn.Module, args: tuple[Any, ...], output: object) -> None:
        del args, output
        if not self._calls.listening and self._calls.running[-1:] == [module]:
            self._calls.running.pop()
