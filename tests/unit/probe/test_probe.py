import pytest
import torch
from lightning.pytorch.utilities import CombinedLoader
from torch.utils.data import DataLoader, Dataset, IterableDataset, RandomSampler, SubsetRandomSampler

from lightning_dissect.probe import ProbeSet, flatten_loaders, index_ids, probe_loader


class Ramp(Dataset):
    """Image ``i`` has the value ``i / 10`` everywhere; its annotation is ``i``."""

    def __len__(self):
        return 10

    def __getitem__(self, index):
        return torch.full((3, 4, 4), index / 10), index


class Stream(IterableDataset):
    def __iter__(self):
        return iter([Ramp()[index] for index in range(10)])


def test_ids_come_from_the_place_in_the_dataset_of_each_loader():
    loaders = [DataLoader(Ramp(), batch_size=4), DataLoader(Ramp(), batch_size=3)]
    probe = ProbeSet(loaders)
    for position, loader in enumerate(loaders):
        batches = [probe.read_batch(batch, step, position) for step, batch in enumerate(loader)]
        ids = torch.cat([batch.sample_ids for batch in batches])
        assert torch.equal(ids, index_ids(range(10), position))
        assert all(batch.keep.all() for batch in batches)
        assert batches[0].targets is None


def test_pictures_are_read_again_by_id():
    probe = ProbeSet([DataLoader(Ramp()), DataLoader(Ramp())])
    picture = probe.reader(int(index_ids([5], dataloader_idx=1)))
    assert picture.shape == (4, 4, 3)
    assert (picture == 128).all()
    assert probe.reader(2**62) is None


@pytest.mark.parametrize("loader", [DataLoader(Stream()), DataLoader(Ramp(), shuffle=True), object()])
def test_where_the_order_is_unknown_content_must_identify(loader):
    probe = ProbeSet([DataLoader(Ramp()), loader])
    assert probe.reader is None
    assert probe.read_batch(torch.rand(1, 3, 4, 4), 0, 1).sample_ids is None


def test_a_batch_of_another_size_is_identified_by_content():
    probe = ProbeSet([DataLoader(Ramp(), batch_size=4)])
    assert probe.read_batch(torch.rand(3, 3, 4, 4), 0, 0).sample_ids is None


def test_annotations_are_picked_only_if_asked_for():
    batch = next(iter(DataLoader(Ramp(), batch_size=4)))
    probe = ProbeSet([DataLoader(Ramp(), batch_size=4)])
    assert probe.read_batch(batch, 0, 0, with_targets=True).targets.tolist() == [0, 1, 2, 3]
    own = ProbeSet([DataLoader(Ramp(), batch_size=4)], target_fn=lambda batch: batch[1] + 1)
    assert own.read_batch(batch, 0, 0, with_targets=True).targets.tolist() == [1, 2, 3, 4]


def test_images_whose_colours_are_a_guess_are_noticed():
    probe = ProbeSet([DataLoader(Ramp())])
    probe.read_batch(torch.rand(2, 3, 4, 4), 0, 0)
    assert not probe.stretched
    probe.read_batch(torch.randn(2, 3, 4, 4) * 3, 0, 0)
    assert probe.stretched
    known = ProbeSet([DataLoader(Ramp())], denormalize=lambda images: images.clamp(0, 1))
    known.read_batch(torch.randn(2, 3, 4, 4) * 3, 0, 0)
    assert not known.stretched


def test_flatten_loaders():
    one, two = DataLoader(Ramp()), DataLoader(Ramp())
    assert flatten_loaders(one) == [one]
    assert flatten_loaders([one, two]) == [one, two]
    assert flatten_loaders({"a": one, "b": two}) == [one, two]
    assert flatten_loaders(CombinedLoader({"a": one, "b": [two]}, "sequential")) == [one, two]
    assert flatten_loaders(CombinedLoader(one)) == [one]
    parallel = CombinedLoader([one, two], "max_size")
    assert flatten_loaders(parallel) == [parallel]


def targets(loader):
    return [int(target) for _, batch in loader for target in batch]


def test_a_probe_is_shared_between_processes_in_the_order_of_the_dataset():
    assert targets(probe_loader(Ramp())) == list(range(10))
    assert targets(probe_loader(Ramp(), rank=1, world_size=3)) == [1, 4, 7, 0]


def test_what_a_loader_says_is_kept():
    loader = DataLoader(Ramp(), batch_size=7, sampler=RandomSampler(Ramp()), collate_fn=lambda rows: rows)
    mine = probe_loader(loader)
    assert (mine.batch_size, mine.collate_fn) == (7, loader.collate_fn)
    assert [row[1] for rows in mine for row in rows] == list(range(10))


def test_a_choice_of_samples_and_a_stream_are_left_alone():
    chosen = DataLoader(Ramp(), sampler=SubsetRandomSampler([1, 2]))
    assert probe_loader(chosen) is chosen
    stream = DataLoader(Stream())
    assert probe_loader(stream) is stream
    assert targets(probe_loader(Stream())) == list(range(10))


def test_anything_else_is_a_type_error():
    with pytest.raises(TypeError, match=r"Expected `probe` to be a dataset .* but got int"):
        probe_loader(3)
