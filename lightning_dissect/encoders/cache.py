"""Embeddings that are computed once: by content, for all validations and runs."""

import hashlib
import math
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from lightning_dissect.checks import check_positive
from lightning_dissect.encoders.base import ImageTextEncoder
from lightning_dissect.encoders.embedding_exchange import exchange_embeddings
from lightning_dissect.encoders.embedding_table import EmbeddingTable
from lightning_dissect.encoders.fingerprint_memo import FingerprintMemo, TraceableEncoder
from lightning_dissect.encoders.image_preprocessing import check_images
from lightning_dissect.encoders.image_queue import Batch, ImageQueue
from lightning_dissect.encoders.progress import Progress, silent
from lightning_dissect.encoders.recurrence import Recurrence
from lightning_dissect.peers import Peers

DEFAULT_BATCH_SIZE = 64
"""Images per batch for encoders that have no ``batch_size``."""


class EmbeddingCache:
    """Embeds every image and every text once and remembers it by its content.

    Embeddings of the encoder do not depend on the network that is trained, so a second validation, a second run and a
    changed vocabulary pay only for what is new. An embedding that is remembered is returned bit for bit.

    Images wait until there are enough of them for a batch of the encoder, at the latest until an embedding is asked
    for. What was embedded is written to disk now and then, so that a run that is killed goes on from there.

    Images that are augmented at random are new every time. Where less than half of the images of a dissection come
    again in the next, those that do not are no longer written to disk, and once images take more than
    ``max_image_bytes`` only those of the last dissection stay in memory.

    Args:
        encoder: What embeds.
        dirpath: Folder in which embeddings are kept, in a folder per encoder's fingerprint; ``None`` keeps them in
            memory only. Several processes may use one folder; each sees what was there when it first looked.
        text_batch_size: Texts that the encoder is given at a time.
        write_every: Seconds of embedding after which what is new is written to disk.
        max_image_bytes: Most bytes of image embeddings beyond those of the last dissection.

    Raises:
        ValueError:
            If ``text_batch_size`` is not positive.

    Example:
        >>> class Brightness:
        ...     temperature = 1.0
        ...     def encode_images(self, images):
        ...         return torch.nn.functional.normalize(images.float().mean(dim=(2, 3)), dim=1)
        ...     def encode_texts(self, texts):
        ...         return torch.eye(3)[[len(text) % 3 for text in texts]]
        ...     def fingerprint(self):
        ...         return "brightness"
        >>> cache = EmbeddingCache(Brightness())
        >>> cache.update_images(torch.full((2, 3, 8, 8), 255, dtype=torch.uint8), torch.tensor([5, 5]))
        1
        >>> cache.image_embeddings(torch.tensor([5])) @ cache.text_embeddings(["red"]).T
        tensor([[0.5774]])

    """

    def __init__(
        self,
        encoder: ImageTextEncoder,
        dirpath: str | Path | None = None,
        text_batch_size: int = 1024,
        *,
        write_every: float = 60.0,
        max_image_bytes: int = 2**29,
    ) -> None:
        check_positive("text_batch_size", text_batch_size)
        self.encoder = encoder
        self.dirpath = None if dirpath is None else Path(dirpath)
        self.text_batch_size = text_batch_size
        self.write_every = write_every
        self.max_image_bytes = max_image_bytes
        self._queue = ImageQueue(getattr(encoder, "batch_size", None) or DEFAULT_BATCH_SIZE)
        self._recurrence = Recurrence()
        self._recalled: Sequence[str] | None = None
        self._num_embedded = 0
        self._unwritten_seconds = 0.0

    def check(self) -> None:
        """Raise what would stop the encoder; one that was loaded before from files that are as they were is not loaded.

        Raises:
            TypeError:
                If the encoder lacks something of the protocol.

        """
        names = ("temperature", "encode_images", "encode_texts", "fingerprint")
        # `isinstance` would ask for the value of the temperature, which may be in a configuration that is not here yet.
        if not all(hasattr(type(self.encoder), name) or hasattr(self.encoder, name) for name in names):
            raise TypeError(
                "Expected `encoder` to be a name or an object with `temperature`, `encode_images`, `encode_texts` and "
                f"`fingerprint` but got {type(self.encoder).__name__}."
            )
        _ = self.origin

    @cached_property
    def origin(self) -> str:
        """The encoder's fingerprint, from the folder's memo where there is one."""
        memo, recipe = self._memo(), self._recipe()
        if memo is None or recipe is None:
            return self.encoder.fingerprint()
        known = memo.recall(recipe)
        if known is not None:
            self._recalled = recipe
            return known
        started = time.time()
        known = self.encoder.fingerprint()
        files = self.encoder.source_files() if isinstance(self.encoder, TraceableEncoder) else None
        if files:
            memo.remember(recipe, files, known, started)
        return known

    def start_cycle(self, last: Tensor | None = None) -> None:
        """Begin the next dissection, and forget images if they take more than ``max_image_bytes``.

        Args:
            last: Content ids of the images of the last dissection, shape ``(images,)``, int64.

        """
        self._recurrence.start_cycle()
        self._num_embedded = 0
        if last is not None and len(last) and self._images.num_bytes > self.max_image_bytes:
            self._images.retain(last)

    def unknown_images(self, content_ids: Tensor) -> Tensor:
        """Return which images have to be embedded, for callers to whom fetching an image is work.

        Args:
            content_ids: Ids of the images' content, shape ``(images,)``, int64.

        Returns:
            Shape ``(images,)``, bool.

        """
        return ~(self._images.known(content_ids) | self._queue.waits(content_ids))

    def update_images(self, images: Tensor, content_ids: Tensor, progress: Progress = silent) -> int:
        """Take those images whose content is new, and embed them once there are enough.

        Args:
            images: Shape ``(images, 3, height, width)``, uint8.
            content_ids: 64-bit ids computed from the pixels, shape ``(images,)``, int64.
            progress: Told of images that are embedded.

        Returns:
            Number of images that were new.

        Raises:
            ValueError:
                If there is not one id per image or the encoder gives no finite embedding.

        """
        check_images(images)
        if content_ids.shape != (len(images),) or content_ids.dtype != torch.int64:
            raise ValueError(
                f"Expected `content_ids` to be int64 of shape ({len(images)},) but got {content_ids.dtype} of shape "
                f"{tuple(content_ids.shape)}."
            )
        content_ids = content_ids.cpu()
        first = {key: position for position, key in reversed(list(enumerate(content_ids.tolist())))}
        positions = torch.tensor(sorted(first.values()))
        new = positions[self.unknown_images(content_ids[positions])]
        self._recurrence.update(len(positions), len(positions) - len(new))
        if len(new):
            self._queue.put(images[new.to(images.device)], content_ids[new])
            self._embed_images(self._queue.ready(), progress)
        return len(new)

    def embed_waiting(self, progress: Progress = silent) -> None:
        """Embed the images that wait for more.

        Args:
            progress: Told of images that are embedded.

        """
        self._embed_images(self._queue.rest(), progress)

    def image_embeddings(self, content_ids: Tensor) -> Tensor:
        """Return embeddings of images that were given to `update_images`, now or in an earlier run.

        Args:
            content_ids: Shape ``(images,)``, int64.

        Returns:
            Shape ``(images, dimensions)``, float32 on the CPU.

        Raises:
            KeyError:
                If there is no id or the content of one is unknown.

        """
        self.embed_waiting()
        return self._images.get(content_ids)

    def text_embeddings(self, texts: Sequence[str], progress: Progress = silent) -> Tensor:
        """Return embeddings of texts; those that are new are computed.

        Args:
            texts: Concepts already put into their prompts.
            progress: Told of texts that are embedded.

        Returns:
            Shape ``(texts, dimensions)``, float32 on the CPU.

        Raises:
            ValueError:
                If ``texts`` is a string instead of a sequence of strings, or empty.

        """
        if isinstance(texts, str) or not texts:
            raise ValueError(f"Expected `texts` to be a non-empty sequence of strings but got {texts!r}.")
        ids = torch.tensor([text_id(text) for text in texts])
        known = self._texts.known(ids).tolist()
        new = {text: None for text, is_known in zip(texts, known, strict=True) if not is_known}
        self._embed_texts(list(new), progress)
        return self._texts.get(ids)

    def exchange_images(self, peers: Peers, content_ids: Tensor) -> None:
        """Make every process know the embeddings of all processes' images. Every process must call it.

        Args:
            peers: The processes.
            content_ids: The same on all processes, shape ``(images,)``, int64; each is known to one of them.

        """
        exchange_embeddings(peers, self._images, torch.unique(content_ids))

    def exchange_texts(self, peers: Peers, texts: Sequence[str], progress: Progress = silent) -> None:
        """Make every process know the embeddings of texts; new ones are shared out. Every process must call it.

        Args:
            peers: The processes.
            texts: The same on all processes.
            progress: Told of texts that are embedded.

        """
        by_id = {text_id(text): text for text in texts}

        def embed(ids: Tensor) -> None:
            chosen = set(ids.tolist())
            self._embed_texts([text for key, text in by_id.items() if key in chosen], progress)

        exchange_embeddings(peers, self._texts, torch.tensor(list(by_id)), embed)

    def flush(self) -> None:
        """Embed what waits and write what is new to the folder; writes nothing without one."""
        self.embed_waiting()
        self._write()

    def _embed_images(self, batches: Iterator[Batch], progress: Progress) -> None:
        for images, ids in batches:
            with self._embedding():
                self._images.add(ids, self.encoder.encode_images(images))
            self._num_embedded += len(ids)
            progress("Encoding images", self._num_embedded, math.inf)

    def _embed_texts(self, texts: Sequence[str], progress: Progress) -> None:
        for start in range(0, len(texts), self.text_batch_size):
            batch = texts[start : start + self.text_batch_size]
            progress("Encoding concepts", start, len(texts))
            with self._embedding():
                self._texts.add(torch.tensor([text_id(text) for text in batch]), self.encoder.encode_texts(batch))
            progress("Encoding concepts", start + len(batch), len(texts))

    @contextmanager
    def _embedding(self) -> Iterator[None]:
        """Embed one batch, then write to disk if it is time; what cannot be written now may be later."""
        self._check_origin()
        started = time.monotonic()
        yield
        self._unwritten_seconds += time.monotonic() - started
        if self._unwritten_seconds >= self.write_every:
            with suppress(Exception):
                self._write()
            self._unwritten_seconds = 0.0

    def _check_origin(self) -> None:
        """Check, before the first batch, that an encoder whose fingerprint was remembered still is what it was.

        Raises:
            RuntimeError:
                If it is not; embeddings from here on are those of the encoder as it is now.

        """
        recipe, self._recalled = self._recalled, None
        if recipe is None or self.encoder.fingerprint() == self.origin:
            return
        memo = self._memo()
        if memo is not None:
            memo.forget(recipe)
        for name in ("origin", "_images", "_texts"):
            self.__dict__.pop(name, None)
        raise RuntimeError(
            "Expected the encoder's weights, tokeniser and configuration to stay as they are while they are in use but "
            "they have changed since the start. The next dissection embeds everything with the encoder as it is now."
        )

    def _write(self) -> None:
        self._texts.flush()
        if self._recurrence.is_seen:
            self._images.flush()

    def _recipe(self) -> Sequence[str] | None:
        return self.encoder.recipe() if isinstance(self.encoder, TraceableEncoder) else None

    def _memo(self) -> FingerprintMemo | None:
        return None if self.dirpath is None else FingerprintMemo(self.dirpath / "fingerprints")

    @cached_property
    def _images(self) -> EmbeddingTable:
        return self._table("images")

    @cached_property
    def _texts(self) -> EmbeddingTable:
        return self._table("texts")

    def _table(self, kind: str) -> EmbeddingTable:
        if self.dirpath is None:
            return EmbeddingTable(kind, None, "memory")
        return EmbeddingTable(kind, self.dirpath / self.origin, self.origin)


def cache_folder(cache: bool | str | Path) -> Path | None:
    """Return the folder that a user's choice stands for.

    Args:
        cache: True for ``$LIGHTNING_DISSECT_CACHE`` or, without it, the user's cache folder; False for none; or the
            folder itself.

    Example:
        >>> cache_folder("embeddings").as_posix(), cache_folder(False)
        ('embeddings', None)

    """
    if not isinstance(cache, bool):
        return Path(cache)
    if not cache:
        return None
    own = os.environ.get("LIGHTNING_DISSECT_CACHE")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "lightning_dissect"


def text_id(text: str) -> int:
    """Return a 64-bit id of a text's content.

    Args:
        text: Any string.

    Example:
        >>> text_id("cat") == text_id("cat") != text_id("cats")
        True

    """
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)
