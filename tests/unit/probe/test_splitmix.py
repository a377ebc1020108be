import torch

from lightning_dissect.probe import scattered_ids
from lightning_dissect.probe.splitmix import shift_right, splitmix64

BITS = 2**64


def slow_splitmix64(count):
    """The published generator, step by step, with integers that do not overflow."""
    state, outputs = 0, []
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) % BITS
        mixed = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % BITS
        mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB % BITS
        outputs.append(mixed ^ (mixed >> 31))
    return outputs


def test_the_published_generator():
    assert [value % BITS for value in splitmix64(torch.arange(1, 200)).tolist()] == slow_splitmix64(199)


def test_shifts_fill_with_zeros():
    assert shift_right(torch.tensor([-1, 8]), 3).tolist() == [(BITS - 1) >> 3, 1]


def test_probes_that_share_images_share_those_that_are_scattered():
    ids = torch.cat([torch.arange(5000), torch.arange(5000) + (3 << 40)])
    chosen = scattered_ids(ids, 100)
    assert torch.equal(chosen, scattered_ids(ids[torch.randperm(10_000)], 100))
    assert torch.equal(chosen, chosen.unique())
    rest = torch.cat([ids[:2000], chosen]).unique()
    assert torch.equal(scattered_ids(rest, 100), chosen)
    assert 25 < int((chosen < 5000).sum()) < 75


def test_fewer_ids_than_asked_for():
    assert scattered_ids(torch.tensor([9, 4]), 3).tolist() == [4, 9]
    assert scattered_ids(torch.empty(0, dtype=torch.int64), 3).tolist() == []
