"""The probe: images by sample id, as the loaders of a validation give them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.utils.data import (
    DataLoader,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    default_collate,
)

from lightning_dissect.probe.images import Denormalize, find_images, find_targets, out_of_range, to_uint8
from lightning_dissect.probe.model_input import ModelInput
from lightning_dissect.probe.normalisation import Normalisation, find_normalisation
from lightning_dissect.probe.reread import read_image
from lightning_dissect.probe.sample_ids import SampleOrder, locate
from lightning_dissect.types import Picture


@dataclass(frozen=True)
class ProbeBatch:
    """The part of a batch that a dissection needs.

    Args:
        images: Canonical probe images, shape ``(images, 3, height, width)``, uint8.
        sample_ids: Id of each image, shape ``(images,)``, int64; ``None`` if only its content identifies it.
        keep: False for images that merely pad a process's share, shape ``(images,)``, bool; ``None`` if none does.
        targets: Annotations, class indices ``(images,)`` or presence ``(images, concepts)``, if they were asked for.

    """

    images: Tensor
    sample_ids: Tensor | None
    keep: Tensor | None
    targets: Tensor | None


class ProbeSet:
    """Reads the batches of one or several loaders as probe images.

    An image's sample id is its place in its dataset where the loader's order is known, see `SampleOrder.of`.

    Args:
        loaders: The loaders, in the order of their ``dataloader_idx``.
        image_fn: Picks the images out of a batch; `find_images` if not given.
        target_fn: Picks the annotations out of a batch; `find_targets` if not given.
        denormalize: Undoes the normalisation; if not given it is looked for in each loader's dataset.

    Attributes:
        stretched: Whether images were seen whose normalisation is unknown, so that their colours are a guess.

    Example:
        >>> import torch
        >>> loader = DataLoader([(torch.rand(3, 8, 8), 1), (torch.rand(3, 8, 8), 0)], batch_size=2)
        >>> probe = ProbeSet([loader])
        >>> batch = probe.read_batch(next(iter(loader)), batch_idx=0, dataloader_idx=0)
        >>> batch.images.shape, batch.sample_ids
        (torch.Size([2, 3, 8, 8]), tensor([0, 1]))

    """

    def __init__(
        self,
        loaders: Sequence[Any],
        image_fn: Callable[[Any], Tensor] | None = None,
        target_fn: Callable[[Any], Tensor] | None = None,
        denormalize: Denormalize | None = None,
    ) -> None:
        self.loaders = list(loaders)
        self.find_images = image_fn or find_images
        self.find_targets = target_fn or find_targets
        self.stretched = False
        self._image_fn = image_fn
        self._datasets = [_dataset(loader) for loader in self.loaders]
        self._denormalize = [denormalize or find_normalisation(dataset) for dataset in self._datasets]
        self._last_seen: tuple[Tensor, int] | None = None
        self._orders = [SampleOrder.of(loader, position) for position, loader in enumerate(self.loaders)]

    def read_batch(
        self, batch: object, batch_idx: int, dataloader_idx: int, *, with_targets: bool = False
    ) -> ProbeBatch:
        """Read one batch.

        Args:
            batch: What the loader gave, on any device.
            batch_idx: Position of the batch in its loader.
            dataloader_idx: Position of the loader.
            with_targets: Whether annotations are needed.

        Raises:
            ValueError:
                If images or annotations cannot be found; the message names ``image_fn`` or ``target_fn``.

        """
        images = self.find_images(batch)
        denormalize = self._denormalize[dataloader_idx]
        self._last_seen = images[:0], dataloader_idx
        if denormalize is None:
            self.stretched = self.stretched or bool(out_of_range(images).any())
        order = self._orders[dataloader_idx]
        place = None if order is None else order.batch(batch_idx, len(images))
        sample_ids, keep = place if place is not None else (None, None)
        targets = self.find_targets(batch) if with_targets else None
        return ProbeBatch(to_uint8(images, denormalize), sample_ids, keep, targets)

    @property
    def model_input(self) -> ModelInput:
        """How the images of the last batch were given to the network, so that others can be given alike.

        Raises:
            ValueError:
                If no batch was read, or the normalisation of its images is unknown or cannot be turned round.

        """
        if self._last_seen is None:
            raise ValueError("Expected a batch to have been read but none was.")
        images, loader = self._last_seen
        denormalize = self._denormalize[loader]
        if self.stretched or not (denormalize is None or isinstance(denormalize, Normalisation)):
            raise ValueError(
                "Expected the normalisation of the images to be known, so that others can be normalised alike, but it "
                "is not. Pass `mean` and `std`, or a `preprocess` of your own."
            )
        height, width = images.shape[-2:]
        return ModelInput((height, width), images.shape[1], images.dtype, denormalize)

    def has_datasets_of(self, other: "ProbeSet") -> bool:
        """Return whether each loader has the same dataset as in another set, so that ids stand for the same samples."""
        pairs = zip(self._datasets, other._datasets, strict=False)
        return len(self._datasets) == len(other._datasets) and all(mine is theirs for mine, theirs in pairs)

    @property
    def reader(self) -> Callable[[int], Picture | None] | None:
        """Reads the picture of a sample id again from its dataset; ``None`` if not every loader allows it."""
        return self._read if self._orders and all(order is not None for order in self._orders) else None

    def _read(self, sample_id: int) -> Picture | None:
        place = locate(sample_id)
        if place is None:
            return None
        dataloader_idx, index = place
        loader = self.loaders[dataloader_idx]
        return read_image(
            loader.dataset,
            index,
            self._denormalize[dataloader_idx],
            image_fn=self._image_fn,
            collate_fn=loader.collate_fn or default_collate,
        )


def _dataset(loader: object) -> object:
    """Return a loader's dataset, or the datasets of a combined loader."""
    parts = getattr(loader, "flattened", None)
    return getattr(loader, "dataset", None) if parts is None else [_dataset(part) for part in parts]


def flatten_loaders(loaders: object) -> list[Any]:
    """Return validation loaders, as a Trainer holds them, in the order of their ``dataloader_idx``.

    Args:
        loaders: A loader, a list, tuple or mapping of loaders, or Lightning's combined loader of any of these. One that
            gives a batch of each loader at a time counts as one loader of unknown order.

    Example:
        >>> first, second = DataLoader([1, 2]), DataLoader([3, 4])
        >>> [list(loader.dataset) for loader in flatten_loaders({"a": first, "b": second})]
        [[1, 2], [3, 4]]

    """
    if isinstance(loaders, Mapping):
        return list(loaders.values())
    if isinstance(loaders, (list, tuple)):
        return list(loaders)
    parts = getattr(loaders, "flattened", [loaders])
    holds_one = len(parts) == 1 and getattr(loaders, "iterables", None) is parts[0]
    return list(parts) if holds_one or getattr(loaders, "_mode", None) == "sequential" else [loaders]


def probe_loader(probe: object, rank: int = 0, world_size: int = 1, batch_size: int = 32) -> DataLoader[Any]:
    """Return a loader of one process's share of a probe, in the order of the dataset.

    A loader whose sampler chooses samples in a way of its own, or whose dataset is a stream, is returned as it is.

    Args:
        probe: A dataset or a loader, whose batch size, ``collate_fn`` and number of workers are taken over.
        rank: The process.
        world_size: Number of processes.
        batch_size: Images per batch if ``probe`` does not say.

    Raises:
        TypeError:
            If ``probe`` is neither a dataset nor a loader.

    Example:
        >>> import torch
        >>> [batch.tolist() for batch in probe_loader(torch.arange(5), rank=1, world_size=2)]
        [[1, 3, 0]]

    """
    loader = probe if isinstance(probe, DataLoader) else None
    dataset: Any = probe if loader is None else loader.dataset
    if isinstance(dataset, IterableDataset):
        return DataLoader(dataset, batch_size=batch_size) if loader is None else loader
    if not (hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")):
        raise TypeError(
            "Expected `probe` to be a dataset with `__getitem__` and `__len__`, an iterable dataset, a DataLoader or a "
            f"LightningDataModule but got {type(probe).__name__}."
        )
    if loader is not None and type(loader.sampler) not in (SequentialSampler, RandomSampler):
        return loader
    sampler: DistributedSampler[Any] | None = None
    if world_size > 1:
        sampler = DistributedSampler(dataset, world_size, rank, shuffle=False)
    return DataLoader(
        dataset,
        batch_size=getattr(loader, "batch_size", None) or batch_size,
        sampler=sampler,
        num_workers=getattr(loader, "num_workers", 0),
        collate_fn=getattr(loader, "collate_fn", None),
    )
