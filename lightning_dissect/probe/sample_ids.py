"""Sample ids from the place of a sample in its dataset, for loaders whose order is known."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import IterableDataset, Sampler

_INDEX_BITS = 40
_LARGEST_LOADER = 2**22
_LIBRARIES = {"torch", "lightning", "pytorch_lightning"}
_INDEPENDENT = {"DistributedSampler", "SequentialSampler", "UnrepeatedDistributedSampler"}
_DISTRIBUTED_WRAPPERS = {"DistributedSamplerWrapper", "UnrepeatedDistributedSamplerWrapper"}


def index_ids(indices: Tensor | Sequence[int], dataloader_idx: int = 0) -> Tensor:
    """Return the ids of samples that are known by loader and index: ``(dataloader_idx << 40) | index``.

    Args:
        indices: Positions in the loader's dataset, shape ``(images,)``, at least 0 and below 2**40.
        dataloader_idx: Position of the loader among the validation loaders, below 2**22.

    Returns:
        Shape ``(images,)``, int64. No such id has the bit that marks `content_ids`.

    Raises:
        ValueError:
            If an index or ``dataloader_idx`` is out of its range.

    Example:
        >>> index_ids([0, 7], dataloader_idx=1)
        tensor([1099511627776, 1099511627783])

    """
    positions = torch.as_tensor(indices, dtype=torch.int64)
    if not 0 <= dataloader_idx < _LARGEST_LOADER:
        raise ValueError(f"Expected `dataloader_idx` to lie in [0, {_LARGEST_LOADER}) but got {dataloader_idx}.")
    if bool(((positions < 0) | (positions >= 2**_INDEX_BITS)).any()):
        raise ValueError(f"Expected `indices` to lie in [0, 2**{_INDEX_BITS}) but got {positions.tolist()[:5]}.")
    return positions | (dataloader_idx << _INDEX_BITS)


def locate(sample_id: int) -> tuple[int, int] | None:
    """Return the loader and the index in its dataset that an id stands for, ``None`` for one of `content_ids`.

    Args:
        sample_id: An id from `index_ids` or `content_ids`.

    Raises:
        ValueError:
            If ``sample_id`` is negative.

    Example:
        >>> locate(1099511627783)
        (1, 7)

    """
    if sample_id < 0:
        raise ValueError(f"Expected `sample_id` to be at least 0 but got {sample_id}.")
    dataloader_idx, index = sample_id >> _INDEX_BITS, sample_id & (2**_INDEX_BITS - 1)
    return (dataloader_idx, index) if dataloader_idx < _LARGEST_LOADER else None


@dataclass(frozen=True)
class SampleOrder:
    """The order in which one process's loader gives the samples of its dataset.

    Args:
        indices: Index of each sample in the loader's dataset, in the order of the loader, shape ``(samples,)``, int64.
        keep: False for the samples that only pad the process's share, shape ``(samples,)``, bool.
        batch_size: Samples per batch; the last batch may hold fewer.
        dataloader_idx: Position of the loader among the validation loaders.

    Example:
        >>> from torch.utils.data import DataLoader
        >>> order = SampleOrder.of(DataLoader(range(5), batch_size=3))
        >>> order.batch(1, 2)
        (tensor([3, 4]), tensor([True, True]))

    """

    indices: Tensor
    keep: Tensor
    batch_size: int
    dataloader_idx: int = 0

    @classmethod
    def of(cls, dataloader: object, dataloader_idx: int = 0) -> "SampleOrder | None":
        """Return the order of a loader, ``None`` if it cannot be known.

        Known are batches of torch's sequential sampler and of distributed samplers, torch's and those that Lightning
        puts around a sampler of known order, shuffled or not: they derive their order from seed and epoch. Call it
        after the sampler's ``set_epoch``. Unknown are random samplers, samplers of one's own, iterable datasets,
        loaders without automatic batches and combined loaders.

        A distributed sampler repeats samples until every process has equally many. Sample ``k`` of process ``rank`` is
        kept if and only if ``rank + k * num_replicas < len(dataset)``, so that each sample is kept once over all
        processes, shuffled or not.

        Args:
            dataloader: The loader. Its sampler is read but not advanced.
            dataloader_idx: Position of the loader among the validation loaders.

        """
        batch_sampler: Any = getattr(dataloader, "batch_sampler", None)
        if _iterator_owner(batch_sampler) == "_IndexBatchSamplerWrapper":
            batch_sampler = batch_sampler._batch_sampler
        is_iterable = isinstance(getattr(dataloader, "dataset", None), IterableDataset)
        if is_iterable or _iterator_owner(batch_sampler) != "BatchSampler":
            return None
        sampler = batch_sampler.sampler
        order = _order(sampler)
        if order is None:
            return None
        indices = torch.as_tensor(order, dtype=torch.int64)
        position = torch.arange(len(indices))
        keep = torch.ones_like(position, dtype=torch.bool)
        if _iterator_owner(sampler) != "SequentialSampler":
            keep = sampler.rank + position * sampler.num_replicas < len(sampler.dataset)
        return cls(indices, keep, batch_sampler.batch_size, dataloader_idx)

    def batch(self, batch_idx: int, num_samples: int) -> tuple[Tensor, Tensor] | None:
        """Return the ids of one batch and which of its samples to keep.

        Args:
            batch_idx: Position of the batch in the loader, from 0.
            num_samples: Samples that the batch really holds.

        Returns:
            Ids, shape ``(num_samples,)``, int64, and mask, same shape, bool; or ``None`` if the loader's batch has
            another number of samples, because a ``collate_fn`` has dropped or added some.

        """
        chosen = slice(batch_idx * self.batch_size, (batch_idx + 1) * self.batch_size)
        indices = self.indices[chosen]
        if len(indices) != num_samples:
            return None
        return index_ids(indices, self.dataloader_idx), self.keep[chosen]


def _order(sampler: object) -> Sequence[int] | None:
    """Return the indices that a sampler will give, ``None`` if they cannot be known."""
    owner = _iterator_owner(sampler)
    if isinstance(sampler, Sampler):
        wrapped = getattr(getattr(sampler, "dataset", None), "_sampler", None)
        is_known_wrapper = owner in _DISTRIBUTED_WRAPPERS and _order(wrapped) is not None
        if is_known_wrapper or owner in _INDEPENDENT:
            return list(sampler)
    return None


def _iterator_owner(sampler: object) -> str:
    """Return the name of the library's class whose ``__iter__`` a sampler has, empty if it has one of its own."""
    owner = next(kind for kind in (*type(sampler).__mro__, type) if "__iter__" in vars(kind) or kind is type)
    return owner.__name__ if owner.__module__.partition(".")[0] in _LIBRARIES else ""
