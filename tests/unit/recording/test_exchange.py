from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_dissect import peers as peers_module
from lightning_dissect.distributed import in_step
from lightning_dissect.peers import PeerError, Peers
from lightning_dissect.recording.exchange import exchange_neurons, share_of
from lightning_dissect.recording.pooled import PooledActivations
from tests.helpers.processes import run_in_processes, run_in_wired_threads


@pytest.mark.parametrize("world_size", [1, 2, 3, 8, 512])
@pytest.mark.parametrize("neurons", [0, 1, 5, 64, 20_000])
def test_shares_are_consecutive_and_equal(neurons, world_size):
    shares = [share_of(neurons, rank, world_size) for rank in range(world_size)]
    assert (shares[0].start, shares[-1].stop) == (0, neurons)
    assert all(one.stop == other.start for one, other in pairwise(shares))
    sizes = {share.stop - share.start for share in shares}
    assert max(sizes) - min(sizes) <= 1


def activations_of(rank, sample_ids, neurons):
    """Make rows with ties and negative values, rounded to bfloat16, that differ between ranks."""
    generator = torch.Generator().manual_seed(rank)
    values = torch.randn(50, neurons, generator=generator)
    values[:, ::2] = values[:, ::2].round()
    return values.bfloat16().float()[sample_ids]


def state_of(rank, batches, neurons):
    """Record batches of sample ids."""
    state = PooledActivations()
    for sample_ids in batches:
        state.update(torch.tensor(sample_ids), activations_of(rank, sample_ids, neurons))
    return state


def one_process(batches_of_ranks, neurons):
    """Record what all processes have recorded, one after the other."""
    state = PooledActivations()
    for rank, batches in enumerate(batches_of_ranks):
        state.merge_state(state_of(rank, batches, neurons))
    return state.compute()


def check_shares(shares, batches_of_ranks, neurons):
    sample_ids, activations = one_process(batches_of_ranks, neurons)
    for rank, share in enumerate(shares):
        assert share.units == share_of(neurons, rank, len(shares))
        assert torch.equal(share.sample_ids, sample_ids)
        assert torch.equal(share.activations, activations[:, share.units])
        assert (share.sample_ids.dtype, share.activations.dtype) == (torch.int64, torch.float32)


def exchanged(batches_of_ranks, neurons, max_bytes=2**20):
    def run(wire):
        with Peers("exchanging", wire) as peers:
            return exchange_neurons(state_of(wire.rank, batches_of_ranks[wire.rank], neurons), peers, max_bytes)

    return run_in_wired_threads(run, len(batches_of_ranks))


batches = st.lists(st.lists(st.integers(0, 49), min_size=1, max_size=6), max_size=4)


@settings(max_examples=60, deadline=None)
@given(
    batches_of_ranks=st.lists(batches, min_size=2, max_size=5).filter(any),
    neurons=st.integers(1, 7),
    max_bytes=st.integers(1, 800),
    chunk_bytes=st.sampled_from([8, 64, 2**26]),
)
def test_any_sharding_gives_what_one_process_gives(batches_of_ranks, neurons, max_bytes, chunk_bytes):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(peers_module, "CHUNK_BYTES", chunk_bytes)
        check_shares(exchanged(batches_of_ranks, neurons, max_bytes), batches_of_ranks, neurons)


@pytest.mark.parametrize(
    ("batches_of_ranks", "neurons"),
    [
        ([[[0, 1, 2]], [[2, 1, 3]], [[3, 3, 0]]], 4),
        ([[], [[7, 3]], []], 4),
        ([[[5]], [[1]], [[3]]], 2),
        ([[[5]], [[5]], [[5]]], 1),
    ],
    ids=["overlap", "empty ranks", "more ranks than neurons", "the same image"],
)
def test_uneven_shards(batches_of_ranks, neurons):
    check_shares(exchanged(batches_of_ranks, neurons), batches_of_ranks, neurons)


def test_a_layer_without_images():
    for share in exchanged([[], []], 0):
        assert (share.units, len(share.sample_ids), share.activations.shape) == (slice(0, 0), 0, (0, 0))


def test_one_process_copies_nothing():
    state = state_of(0, [[1, 2, 3]], 5)
    with in_step("exchanging") as peers:
        share = exchange_neurons(state, peers, max_bytes=1)
    assert share.units == slice(0, 5)
    assert share.activations.data_ptr() == state.compute()[1].data_ptr()
    assert share.sample_ids.tolist() == [1, 2, 3]


def test_different_layers_are_an_error_on_all():
    def run(wire):
        with Peers("exchanging", wire) as peers:
            state = PooledActivations() if wire.rank == 3 else state_of(0, [[wire.rank]], (4, 3, 4)[wire.rank])
            exchange_neurons(state, peers, max_bytes=100)

    for error in run_in_wired_threads(run, 4):
        with pytest.raises(
            ValueError, match="equally many neurons on all processes but got 4 on rank 0 and 3 on rank 1"
        ):
            raise error


def test_a_process_that_fails_before_ends_the_exchange():
    def run(wire):
        with Peers("exchanging", wire) as peers:
            if wire.rank == 1:
                raise OSError("disk full")
            exchange_neurons(state_of(0, [[wire.rank]], 4), peers, max_bytes=100)

    first, second = run_in_wired_threads(run, 2)
    assert isinstance(first, PeerError)
    assert isinstance(second, OSError)


def test_the_smallest_limit_counts():
    def run(wire):
        with Peers("exchanging", wire) as peers:
            share = exchange_neurons(state_of(wire.rank, [[0, 1, 2, 3]], 4), peers, (10**6, 1)[wire.rank])
            return share, wire.swaps

    (first, rounds_of_first), (second, rounds) = run_in_wired_threads(run, 2)
    check_shares([first, second], [[[0, 1, 2, 3]]] * 2, 4)
    assert rounds_of_first == rounds


def test_every_activation_travels_at_most_once():
    images, neurons, world_size = 48, 20, 4

    def run(wire):
        own = torch.arange(images)[wire.rank :: world_size].tolist()
        with Peers("exchanging", wire) as peers:
            exchange_neurons(state_of(wire.rank, [own], neurons), peers, 10**6)
            return peers.bytes_sent

    activations = images * neurons * 4 // world_size * (world_size - 1) // world_size
    ids = images * 8 // world_size * (world_size - 1)
    for sent in run_in_wired_threads(run, world_size):
        assert activations + ids < sent < activations + ids + 100


def test_inference_mode_leaves_usable_tensors():
    def run(wire):
        with torch.inference_mode(), Peers("exchanging", wire) as peers:
            return exchange_neurons(state_of(wire.rank, [[wire.rank, 5]], 4), peers, 10**6)

    shares = run_in_wired_threads(run, 2)
    check_shares(shares, [[[0, 5]], [[1, 5]]], 4)
    assert not any(share.activations.is_inference() or share.sample_ids.is_inference() for share in shares)


PROCESSES = [[[9, 4], [30]], [[4, 8, 12]], [], [[30, 1], [2], [49]]]


def exchange_over_gloo(rank):
    with torch.inference_mode(), in_step("exchanging") as peers:
        shards = PROCESSES if peers.world_size == 4 else PROCESSES[:2]
        share = exchange_neurons(state_of(rank, shards[rank], 7), peers, max_bytes=300)
    return [share.sample_ids.tolist(), share.activations.tolist()]


@pytest.mark.ddp
@pytest.mark.parametrize("world_size", [2, 4])
def test_gloo_processes_give_what_one_process_gives(world_size):
    sample_ids, activations = one_process(PROCESSES[:world_size], 7)
    for rank, (ids, values) in enumerate(run_in_processes(exchange_over_gloo, world_size)):
        assert ids == sample_ids.tolist()
        assert values == activations[:, share_of(7, rank, world_size)].tolist()
