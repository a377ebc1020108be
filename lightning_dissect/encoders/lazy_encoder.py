"""Encoders that load their two towers when they are first needed."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lightning_dissect.checks import check_positive
from lightning_dissect.encoders.image_preprocessing import check_images
from lightning_dissect.encoders.isolation import isolated_inference, isolated_loading
from lightning_dissect.fingerprint import fingerprint

Batch = TypeVar("Batch", Tensor, list[str])


class Towers(nn.Module, ABC):
    """A loaded image tower and text tower, with all that turns pixels and strings into their inputs."""

    @abstractmethod
    def embed_images(self, images: Tensor) -> Tensor:
        """Embed one batch.

        Args:
            images: Shape ``(images, 3, height, width)``, uint8, on the device of the towers.

        Returns:
            Shape ``(images, dimensions)``; the norm is free.

        """

    @abstractmethod
    def embed_texts(self, texts: list[str]) -> Tensor:
        """Embed one batch.

        Args:
            texts: Any strings.

        Returns:
            Shape ``(texts, dimensions)``; the norm is free.

        """

    @abstractmethod
    def settings(self) -> Iterable[str]:
        """Return what the embeddings depend on besides the entries of ``state_dict``; no names, no paths."""

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return next(self.parameters()).device


class LazyEncoder(ABC):
    """What all encoders with pretrained towers share: loading on demand, batches, isolation, pickling, fingerprint.

    A subclass says in `load` where the towers come from. One that also says, in `request`, `packages` and
    `source_files`, what they are made of, need not be loaded for its fingerprint a second time: see `FingerprintMemo`.
    A pickled or copied encoder carries no weights; it loads them again when they are needed.

    Args:
        device: Device of the towers; ``None`` takes the GPU if there is one.
        batch_size: Images or texts per forward pass.

    Raises:
        ValueError:
            If ``batch_size`` is not positive.

    """

    packages: ClassVar[tuple[str, ...]] = ()
    """Distributions that turn files into towers; another version may make another fingerprint."""

    def __init__(self, device: str | None = None, batch_size: int = 64) -> None:
        check_positive("batch_size", batch_size)
        self.device = device
        self.batch_size = batch_size
        self._towers: Towers | None = None
        self._fingerprint: str | None = None

    @abstractmethod
    def load(self) -> Towers:
        """Return the towers with their weights, on the CPU."""

    @property
    def towers(self) -> Towers:
        """The towers in evaluation mode; they are loaded when this is first read."""
        if self._towers is None:
            with isolated_loading():
                towers = self.load()
            device = self.device or ("cuda" if torch.cuda.is_available() else "cpu")
            self._towers = towers.to(device).requires_grad_(requires_grad=False).eval()
        return self._towers

    def encode_images(self, images: Tensor) -> Tensor:
        """Embed images, see `ImageTextEncoder.encode_images`.

        Raises:
            ValueError:
                If ``images`` is not a non-empty uint8 tensor of shape ``(images, 3, height, width)``.

        """
        check_images(images)
        return self._embed(lambda batch: self.towers.embed_images(batch.to(self.towers.device)), images)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Embed texts, see `ImageTextEncoder.encode_texts`.

        Raises:
            ValueError:
                If ``texts`` is a string instead of a sequence of strings, or empty.

        """
        if isinstance(texts, str) or not texts:
            raise ValueError(f"Expected `texts` to be a non-empty sequence of strings but got {texts!r}.")
        return self._embed(self.towers.embed_texts, list(texts))

    def fingerprint(self) -> str:
        """Return a key of weights, preprocessing and tokeniser, never of names or paths; computed once."""
        if self._fingerprint is None:
            weights = chain.from_iterable(sorted(self.towers.state_dict().items()))
            self._fingerprint = fingerprint(*weights, *self.towers.settings())
        return self._fingerprint

    def request(self) -> Sequence[str]:
        """Return what was asked for: all arguments that the fingerprint depends on, as text; nothing is imported."""
        return ()

    def source_files(self) -> Sequence[Path] | None:
        """Return all files that the towers were made of, ``None`` if they are not known; asked for after loading."""
        return None

    def recipe(self) -> Sequence[str] | None:
        """Return what the fingerprint depends on besides `source_files`.

        ``None`` if that is not known: the class does not say for itself, because one that only inherits `request` may
        load something else; or the towers are loaded, and may have been changed since.
        """
        kind = type(self)
        if self._towers is not None or "request" not in vars(kind):
            return None
        return [f"{kind.__module__}.{kind.__qualname__}", *map(installed_version, self.packages), *self.request()]

    def _embed(self, embed: Callable[[Batch], Tensor], items: Batch) -> Tensor:
        with isolated_inference(self.towers.device):
            batches: Iterator[Batch] = (
                items[start : start + self.batch_size] for start in range(0, len(items), self.batch_size)
            )
            return torch.cat([F.normalize(embed(batch).float(), dim=-1).cpu() for batch in batches])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_towers": None, "_fingerprint": None}


def installed_version(package: str) -> str:
    """Return name and version of an installed distribution, the version empty if it is not installed.

    Args:
        package: Name of the distribution.

    Example:
        >>> installed_version("no-such-distribution")
        'no-such-distribution '

    """
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"{package} "
