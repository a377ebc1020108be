"""One bank for all neurons: an image that is made for one of them says how all the others answer to it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from lightning_dissect.array_archive import pack_arrays, unpack_arrays
from lightning_dissect.fingerprint import fingerprint
from lightning_dissect.probe import Thumbnails, content_ids
from lightning_dissect.refine.base import ImageGenerator, ImagePool, NoImageError, Purpose
from lightning_dissect.types import Picture
from lightning_dissect.whole_files import write_whole

_SCHEMA = 1


class NeuronReader(Protocol):
    """Says how neurons answer to images, such as `lightning_dissect.recording.ActivationReader`."""

    def read(self, images: Tensor) -> dict[str, Tensor]:
        """Return the activations of each layer.

        Args:
            images: RGB images, shape ``(images, 3, height, width)``, uint8.

        Returns:
            By the name of the layer, shape ``(images, units)``, float32 on the CPU.

        """
        ...

    def fingerprint(self) -> str:
        """Return a key of all that the activations depend on but the images."""
        ...


@dataclass(frozen=True)
class DrawnConcept:
    """Images of a concept.

    Args:
        image_ids: Their content ids.
        new_images: How many were made, 0 if the concept was drawn before.

    """

    image_ids: tuple[int, ...]
    new_images: int


class ConceptBank:
    """Concepts, their images, and how every neuron of every recorded layer answers to them.

    What is drawn is written to disk at once, under a key of the network's weights, the generator and the concept: a
    search that was killed pays for no image twice, and none is ever taken for that of other weights or words.

    Args:
        generators: What makes the images for each purpose: the same, or another one to judge by.
        reader: Runs them through the network.
        counts: Images of a concept for each purpose.
        pool: Real images, measured at once: the control images, and what is found among them costs no other run.
        dirpath: Folder for what is drawn; ``None`` keeps it in memory alone.

    Example:
        >>> class Grey:
        ...     def generate(self, concept, count, purpose):
        ...         return torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1).repeat(1, 3, 2, 2) + len(concept)
        ...     def fingerprint(self):
        ...         return "grey"
        >>> class Brightness:
        ...     def read(self, images):
        ...         return {"mean": images.float().mean(dim=(1, 2, 3))[:, None]}
        ...     def fingerprint(self):
        ...         return "brightness"
        >>> images = 50 * torch.arange(4, dtype=torch.uint8).view(4, 1, 1, 1).repeat(1, 3, 2, 2)
        >>> pool = ImagePool(images, content_ids(images))
        >>> grey = Grey()
        >>> bank = ConceptBank({"search": grey, "judging": grey}, Brightness(), {"search": 3, "judging": 2}, pool)
        >>> drawn = bank.draw("tiger", "search")
        >>> bank.activations("mean", drawn.image_ids).flatten(), drawn.new_images
        (tensor([5., 6., 7.]), 3)
        >>> bank.draw("tiger", "search").new_images
        0

    """

    def __init__(
        self,
        generators: Mapping[Purpose, ImageGenerator],
        reader: NeuronReader,
        counts: Mapping[Purpose, int],
        pool: ImagePool,
        dirpath: Path | None = None,
    ) -> None:
        self.generators = generators
        self.reader = reader
        self.counts = counts
        self.pool = pool
        self._pool_key = fingerprint(pool.content_ids.sort().values)
        self.dirpath = dirpath
        self._network = reader.fingerprint()
        self._drawn: dict[tuple[str, Purpose], tuple[int, ...]] = {}
        self._places: dict[int, int] = {}
        self._rows: dict[str, _GrowingRows] = {}
        self._means: dict[str, _GrowingRows] = {}
        self._thumbnails = Thumbnails()
        self._learn(pool.content_ids.tolist(), reader.read(pool.images))

    @property
    def origin(self) -> str:
        """A key of network, generators and pool: equal keys mean equal activations for equal concepts."""
        made = (generator.fingerprint() for generator in self.generators.values())
        return fingerprint(self._network, list(made), [str(count) for count in self.counts.values()], self._pool_key)

    @property
    def num_units(self) -> dict[str, int]:
        """Units of each recorded layer."""
        return {layer: rows.values.shape[1] for layer, rows in self._rows.items()}

    def knows(self, concept: str, purpose: Purpose) -> bool:
        """Return whether images of a concept were drawn.

        Args:
            concept: The concept.
            purpose: What the images are for.

        """
        return (concept, purpose) in self._drawn

    def concepts(self, purpose: Purpose) -> tuple[str, ...]:
        """Return all concepts of which images were drawn, in the order in which they were.

        Args:
            purpose: What the images are for.

        """
        return tuple(concept for concept, of_purpose in self._drawn if of_purpose == purpose)

    def draw(self, concept: str, purpose: Purpose) -> DrawnConcept:
        """Return the images of a concept, and make them if there are none yet.

        Args:
            concept: Any text.
            purpose: What the images are for.

        Raises:
            NoImageError:
                If the generator gives no image.

        """
        if (concept, purpose) in self._drawn:
            return DrawnConcept(self._drawn[concept, purpose], new_images=0)
        path = self._path(concept, purpose)
        ids = self._read(path) if path is not None and path.is_file() else self._make(concept, purpose, path)
        self._drawn[concept, purpose] = ids
        if purpose == "search":
            for layer, means in self._means.items():
                means.append(self.activations(layer, ids).mean(dim=0, keepdim=True))
        return DrawnConcept(ids, new_images=len(ids))

    def activations(self, layer: str, image_ids: Iterable[int]) -> Tensor:
        """Return how the neurons of a layer answer to images.

        Args:
            layer: Name of the layer.
            image_ids: Content ids of images that were drawn or belong to the pool.

        Returns:
            Shape ``(images, units)``, float32.

        """
        return self._rows[layer].values[[self._places[image_id] for image_id in image_ids]]

    def means(self, layer: str) -> Tensor:
        """Return the mean activation on the search images of each concept, in the order of `concepts`.

        Args:
            layer: Name of the layer.

        Returns:
            Shape ``(concepts, units)``, float32.

        """
        return self._means[layer].values

    def pictures(self, image_ids: Iterable[int]) -> dict[int, Picture]:
        """Return small pictures of images, each ``(height, width, 3)`` uint8, by content id.

        Args:
            image_ids: Content ids of images that were drawn or belong to the pool.

        """
        wanted = list(image_ids)
        row_of = {image_id: row for row, image_id in enumerate(self.pool.content_ids.tolist())}
        rows = [row_of[image_id] for image_id in wanted if image_id in row_of]
        real = Thumbnails()
        real.update(self.pool.content_ids[rows], self.pool.images[rows])
        return self._thumbnails.pictures(wanted) | real.pictures(wanted)

    def _make(self, concept: str, purpose: Purpose, path: Path | None) -> tuple[int, ...]:
        generator = self.generators[purpose]
        images = generator.generate(concept, self.counts[purpose], purpose)
        if not len(images):
            raise NoImageError(f"Expected {type(generator).__name__} to give images of {concept!r} but got none.")
        ids = content_ids(images)
        new = [row for row, image_id in enumerate(ids.tolist()) if image_id not in self._places]
        if new:
            self._learn(ids[new].tolist(), self.reader.read(images[new]))
            self._thumbnails.update(ids[new], images[new])
        if path is not None:
            self._write(path, ids.tolist())
        return tuple(ids.tolist())

    def _learn(self, image_ids: list[int], activations: dict[str, Tensor]) -> None:
        first = len(self._places)
        distinct = {image_id: row for row, image_id in reversed(list(enumerate(image_ids)))}
        rows = sorted(distinct.values())
        for layer, values in activations.items():
            for table in (self._rows, self._means):
                table.setdefault(layer, _GrowingRows(values.shape[1]))
            self._rows[layer].append(values[rows])
        self._places |= {image_ids[row]: first + place for place, row in enumerate(rows)}

    def _path(self, concept: str, purpose: Purpose) -> Path | None:
        if self.dirpath is None:
            return None
        made_by = self.generators[purpose].fingerprint()
        key = fingerprint(self._network, made_by, self._pool_key, concept, purpose, self.counts[purpose])
        return self.dirpath / f"{key}.npz"

    def _write(self, path: Path, image_ids: list[int]) -> None:
        """Keep what is not known of the pool: activations and small pictures."""
        known = set(self.pool.content_ids.tolist())
        made = list(dict.fromkeys(image_id for image_id in image_ids if image_id not in known))
        arrays = {f"layer.{place}": self.activations(layer, made).numpy() for place, layer in enumerate(self._rows)}
        pictures = self._thumbnails.pictures(made)
        arrays |= {
            f"picture.{place}": pictures[image_id] for place, image_id in enumerate(made) if image_id in pictures
        }
        rest = {"images": image_ids, "made": made, "layers": list(self._rows)}
        write_whole(path, pack_arrays(arrays, rest, _SCHEMA, compressed=False))

    def _read(self, path: Path) -> tuple[int, ...]:
        arrays, rest = unpack_arrays(path.read_bytes(), "images of a concept", _SCHEMA)
        made = rest["made"]
        new = [place for place, image_id in enumerate(made) if image_id not in self._places]
        if new:
            found = {layer: torch.from_numpy(arrays[f"layer.{place}"]) for place, layer in enumerate(rest["layers"])}
            self._learn([made[place] for place in new], {layer: values[new] for layer, values in found.items()})
        for place in new:
            if f"picture.{place}" in arrays:
                self._thumbnails.add(made[place], arrays[f"picture.{place}"])
        return tuple(rest["images"])


class _GrowingRows:
    """A matrix to which rows are added, with room for as many again."""

    def __init__(self, columns: int) -> None:
        self._room = torch.empty(0, columns)
        self._length = 0

    @property
    def values(self) -> Tensor:
        """The rows so far, shape ``(rows, columns)``, float32."""
        return self._room[: self._length]

    def append(self, rows: Tensor) -> None:
        """Add rows, shape ``(rows, columns)``."""
        needed = self._length + len(rows)
        if needed > len(self._room):
            room = torch.empty(max(needed, 2 * len(self._room)), self._room.shape[1])
            room[: self._length] = self.values
            self._room = room
        self._room[self._length : needed] = rows
        self._length = needed
