"""Embeddings that are computed once: by content, for all validations and runs."""

import hashlib
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from lightning_dissect.checks import check_positive
from lightning_dissect.encoders.base import ImageTextEncoder
from lightning_dissect.encoders.embedding_table import EmbeddingTable
from lightning_dissect.encoders.image_preprocessing import check_images


class EmbeddingCache:
    """Embeds every image and every text once and remembers it by its content.

    Embeddings of the encoder do not depend on the network that is trained, so a second validation, a second run and a
    changed vocabulary pay only for what is new. An embedding that is remembered is returned bit for bit.

    Args:
        encoder: What embeds.
        dirpath: Folder in which embeddings are kept, in a folder per encoder's fingerprint; ``None`` keeps them in
            memory only. Several processes may use one folder; each sees what was there when it first looked.
        text_batch_size: Texts that the encoder is given at a time.

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
        self, encoder: ImageTextEncoder, dirpath: str | Path | None = None, text_batch_size: int = 1024
    ) -> None:
        check_positive("text_batch_size", text_batch_size)
        self.encoder = encoder
        self.dirpath = None if dirpath is None else Path(dirpath)
        self.text_batch_size = text_batch_size

    def unknown_images(self, content_ids: Tensor) -> Tensor:
        """Return which images have to be embedded, for callers to whom fetching an image is work.

        Args:
            content_ids: Ids of the images' content, shape ``(images,)``, int64.

        Returns:
            Shape ``(images,)``, bool.

        """
        return ~self._images.known(content_ids)

    def update_images(self, images: Tensor, content_ids: Tensor) -> int:
        """Embed those images whose content is new.

        Args:
            images: Shape ``(images, 3, height, width)``, uint8.
            content_ids: 64-bit ids computed from the pixels, shape ``(images,)``, int64.

        Returns:
            Number of images that were embedded.

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
        first = {key: position for position, key in reversed(list(enumerate(content_ids.tolist())))}
        positions = torch.tensor(sorted(first.values()))
        new = positions[self.unknown_images(content_ids[positions])]
        if len(new):
            self._images.add(content_ids[new], self.encoder.encode_images(images[new.to(images.device)]))
        return len(new)

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
        return self._images.get(content_ids)

    def text_embeddings(self, texts: Sequence[str]) -> Tensor:
        """Return embeddings of texts; those that are new are computed.

        Args:
            texts: Concepts already put into their prompts.

        Returns:
            Shape ``(texts, dimensions)``, float32 on the CPU.

        Raises:
            ValueError:
                If ``texts`` is a string instead of a sequence of strings, or empty.

        """
        if isinstance(texts, str) or not texts:
            raise ValueError(f"Expected `texts` to be a non-empty sequence of strings but got {texts!r}.")
        ids = {text: text_id(text) for text in texts}
        known = self._texts.known(torch.tensor(list(ids.values()))).tolist()
        new = [text for text, is_known in zip(ids, known, strict=True) if not is_known]
        for start in range(0, len(new), self.text_batch_size):
            batch = new[start : start + self.text_batch_size]
            self._texts.add(torch.tensor([ids[text] for text in batch]), self.encoder.encode_texts(batch))
        return self._texts.get(torch.tensor([ids[text] for text in texts]))

    def flush(self) -> None:
        """Write what is new to the folder; does nothing without one."""
        self._images.flush()
        self._texts.flush()

    @cached_property
    def _images(self) -> EmbeddingTable:
        return self._table("images")

    @cached_property
    def _texts(self) -> EmbeddingTable:
        return self._table("texts")

    def _table(self, kind: str) -> EmbeddingTable:
        if self.dirpath is None:
            return EmbeddingTable(kind, None, "memory")
        origin = self.encoder.fingerprint()
        return EmbeddingTable(kind, self.dirpath / origin, origin)


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
