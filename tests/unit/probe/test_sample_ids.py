from collections import Counter
from itertools import product

import pytest
import torch
from lightning.fabric.utilities.distributed import DistributedSamplerWrapper
from lightning.pytorch.overrides.distributed import UnrepeatedDistributedSampler, _IndexBatchSamplerWrapper
from lightning.pytorch.utilities import CombinedLoader
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
)

from lightning_dissect.probe.sample_ids import SampleOrder, index_ids, locate


class Stream(IterableDataset):
    def __iter__(self):
        return iter(range(4))


class Backwards(SequentialSampler):
    def __iter__(self):
        return reversed(range(len(self.data_source)))


class Renamed(SequentialSampler):
    pass


def replay(loader):
    """Ids and masks of all batches, checked against what the loader really gives; samples are their own indices."""
    order = SampleOrder.of(loader)
    given, kept = [], []
    for batch_idx, batch in enumerate(loader):
        ids, keep = order.batch(batch_idx, len(batch))
        assert torch.equal(ids, batch)
        given += ids.tolist()
        kept += ids[keep].tolist()
    return given, kept


@pytest.mark.parametrize(("batch_size", "drop_last"), list(product([1, 3, 5, 8], [False, True])))
def test_sequential_loader(batch_size, drop_last):
    given, kept = replay(DataLoader(range(11), batch_size=batch_size, drop_last=drop_last))
    assert given == kept == list(range(11 - 11 % batch_size if drop_last else 11))


def test_subset_counts_its_own_positions():
    order = SampleOrder.of(DataLoader(Subset(range(100), [50, 60, 70]), batch_size=2))
    assert order.batch(1, 1)[0].tolist() == [2]


def test_samplers_that_inherit_their_order_are_known():
    assert replay(DataLoader(range(5), sampler=Renamed(range(5)), batch_size=2))[0] == list(range(5))


@pytest.mark.parametrize(("num", "world"), list(product(range(1, 14), range(1, 6))))
def test_padding_is_dropped_and_nothing_else(num, world):
    for shuffle, drop_last, epoch in product([False, True], [False, True], [0, 3]):
        if drop_last and num < world:
            continue
        kept, given = [], []
        for rank in range(world):
            sampler = DistributedSampler(range(num), world, rank, shuffle=shuffle, drop_last=drop_last, seed=5)
            sampler.set_epoch(epoch)
            ids, own = replay(DataLoader(range(num), sampler=sampler, batch_size=3))
            given += ids
            kept += own
        assert Counter(kept) == Counter(set(given))
        if not drop_last:
            assert sorted(kept) == list(range(num))


@pytest.mark.parametrize("num", [4, 7, 11])
def test_samplers_of_lightning(num):
    for make in (
        lambda rank: UnrepeatedDistributedSampler(range(num), 3, rank, shuffle=False),
        lambda rank: UnrepeatedDistributedSampler(range(num), 3, rank, shuffle=True),
        lambda rank: DistributedSamplerWrapper(SequentialSampler(range(num)), 3, rank, shuffle=False),
        lambda rank: DistributedSamplerWrapper(SequentialSampler(range(num)), 3, rank, shuffle=True),
    ):
        kept = [id_ for rank in range(3) for id_ in replay(DataLoader(range(num), sampler=make(rank), batch_size=2))[1]]
        assert sorted(kept) == list(range(num))


def test_prediction_batch_sampler_is_unwrapped():
    batches = _IndexBatchSamplerWrapper(BatchSampler(SequentialSampler(range(5)), 2, drop_last=False))
    assert replay(DataLoader(range(5), batch_sampler=batches))[0] == list(range(5))


@pytest.mark.parametrize(
    "loader",
    [
        DataLoader(range(4), shuffle=True),
        DataLoader(range(4), sampler=SubsetRandomSampler([1, 2])),
        DataLoader(range(4), sampler=[3, 2, 1, 0]),
        DataLoader(range(4), sampler=Backwards(range(4))),
        DataLoader(range(4), batch_sampler=[[0, 1], [2, 3]]),
        DataLoader(range(4), batch_size=None),
        DataLoader(range(4), sampler=DistributedSamplerWrapper(RandomSampler(range(4)), 2, 0)),
        DataLoader(Stream(), batch_size=2),
        CombinedLoader([DataLoader(range(4))], "max_size"),
        [1, 2],
        None,
    ],
)
def test_unknown_orders(loader):
    assert SampleOrder.of(loader) is None


def test_reading_the_order_draws_no_random_number():
    state = torch.get_rng_state()
    SampleOrder.of(DataLoader(range(9), sampler=DistributedSampler(range(9), 2, 0, shuffle=True)))
    SampleOrder.of(DataLoader(range(9), shuffle=True))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("batch_idx", "num_samples"), [(0, 2), (1, 3), (9, 1)])
def test_a_batch_of_another_size_has_no_ids(batch_idx, num_samples):
    assert SampleOrder.of(DataLoader(range(5), batch_size=3)).batch(batch_idx, num_samples) is None


def test_ids_lead_back_to_loader_and_index():
    order = SampleOrder.of(DataLoader(range(5), batch_size=3), dataloader_idx=4)
    ids, _ = order.batch(1, 2)
    assert [locate(id_) for id_ in ids.tolist()] == [(4, 3), (4, 4)]
    for place in ((0, 0), (0, 2**40 - 1), (2**22 - 1, 0), (2**22 - 1, 2**40 - 1)):
        assert locate(index_ids([place[1]], place[0]).item()) == place


def test_locate_knows_content_ids_and_rejects_others():
    assert locate(2**62) is None
    assert locate(2**63 - 1) is None
    with pytest.raises(ValueError, match="sample_id"):
        locate(-1)


@pytest.mark.parametrize(
    ("indices", "dataloader_idx", "message"),
    [([-1], 0, "indices"), ([2**40], 0, "indices"), ([0], -1, "dataloader_idx"), ([0], 2**22, "dataloader_idx")],
)
def test_ids_out_of_range(indices, dataloader_idx, message):
    with pytest.raises(ValueError, match=message):
        index_ids(indices, dataloader_idx)
