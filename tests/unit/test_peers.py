import threading

import pytest
import torch

from lightning_dissect import peers as peers_module
from lightning_dissect.peers import PeerError, Peers, PeersLostError
from tests.helpers.processes import run_in_wired_threads

NEGATIVE_INFINITY = float("-inf")


def together(work, world_size=3):
    """Do ``work(peers)`` in threads that stand for processes."""

    def run(wire):
        with Peers("counting sheep", wire) as peers:
            return work(peers)

    return run_in_wired_threads(run, world_size)


@pytest.fixture(params=[2**26, 16], ids=["one chunk", "many chunks"])
def chunk_bytes(request, monkeypatch):
    monkeypatch.setattr(peers_module, "CHUNK_BYTES", request.param)


def test_one_process_exchanges_nothing():
    class Silent:
        rank, world_size = 0, 1

    rows, value = torch.ones(2, 3), object()
    with Peers("work", Silent()) as peers:
        assert (peers.rank, peers.world_size) == (0, 1)
        assert peers.all_gather(value) == peers.gather(value) == [value]
        assert peers.broadcast(value) is value
        assert peers.all_to_all([rows])[0] is rows
        assert peers.all_gather_rows(rows)[0].data_ptr() == rows.data_ptr()
        assert peers.logsumexp(torch.tensor([0.5, NEGATIVE_INFINITY]).double()).tolist() == [0.5, NEGATIVE_INFINITY]
        assert peers.bytes_sent == 0
    with pytest.raises(KeyError), Peers("work", Silent()):
        raise KeyError


@pytest.mark.usefixtures("chunk_bytes")
def test_values_reach_all_or_rank_0():
    def work(peers):
        own = {"rank": peers.rank, "text": "ab" * peers.rank}
        return peers.all_gather(own), peers.gather(own), peers.broadcast(own)

    values = [{"rank": rank, "text": "ab" * rank} for rank in range(3)]
    assert together(work) == [(values, values if rank == 0 else None, values[0]) for rank in range(3)]


def test_rank_0_gets_a_value_of_its_own_from_itself():
    def work(peers):
        own = []
        return peers.all_gather(own)[peers.rank] is own

    assert together(work) == [False] * 3


DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.int64, torch.uint8, torch.bool]


@pytest.mark.usefixtures("chunk_bytes")
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (3,), (2, 0), (2, 3, 2)], ids=str)
def test_rows_reach_all(dtype, shape):
    rows = [torch.arange(3 * size).remainder(5).to(dtype)[::3] for size in (2, 0, 4)]
    rows = [own.reshape(-1, *[1] * len(shape)).expand(-1, *shape) for own in rows]
    for received in together(lambda peers: peers.all_gather_rows(rows[peers.rank])):
        assert all(map(torch.equal, received, rows))
        assert {part.dtype for part in received} == {dtype}


def test_a_process_without_rows_need_not_know_their_shape():
    rows = [torch.empty(0, 0, dtype=torch.int64), torch.ones(2, 4), torch.empty(0, 4)]
    for received in together(lambda peers: peers.all_gather_rows(rows[peers.rank])):
        assert torch.equal(torch.cat(received), rows[1])
    empty = [torch.empty(0, 0), torch.empty(0, 4), torch.empty(0, 4)]
    for received in together(lambda peers: peers.all_gather_rows(empty[peers.rank])):
        assert torch.cat(received).shape == (0, 4)


@pytest.mark.parametrize("other", [torch.ones(1, 3), torch.ones(1, 2, dtype=torch.float64)], ids=["shape", "dtype"])
def test_rows_that_do_not_fit_together(other):
    rows = [torch.ones(1, 2), torch.empty(0, 0), other]
    for error in together(lambda peers: peers.all_gather_rows(rows[peers.rank])):
        assert isinstance(error, ValueError)
        assert "one shape of row" in str(error)


@pytest.mark.usefixtures("chunk_bytes")
def test_every_process_gets_its_own_part():
    generator = torch.Generator().manual_seed(0)
    sizes = torch.randint(0, 5, (3, 3, 2), generator=generator).tolist()
    parts = [[torch.randn(*size, generator=generator) for size in row] for row in sizes]
    received = together(lambda peers: peers.all_to_all(parts[peers.rank]))
    for rank, own in enumerate(received):
        assert all(torch.equal(part, parts[other][rank]) for other, part in enumerate(own))


def test_gradients_and_inference_mode_do_not_travel():
    def work(peers):
        with torch.inference_mode():
            rows = torch.ones(2, 2)
            inferred = peers.all_gather_rows(rows)[1 - peers.rank]
        trained = peers.all_to_all([torch.ones(1, 1, requires_grad=True)] * 2)[1 - peers.rank]
        return inferred.is_inference(), trained.requires_grad

    assert together(work, world_size=2) == [(False, False)] * 2


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([torch.ones(1, 1)] * 2, "one for each of 3 processes but got 2"),
        ([torch.ones(1)] * 3, r"2 dimensions but got torch.float32 of shape \(1,\)"),
        ([torch.ones(1, 1, dtype=torch.complex64)] * 3, "real"),
        ([torch.ones(1, 1, device="meta")] * 3, "on meta"),
    ],
    ids=["number", "dimensions", "dtype", "device"],
)
def test_parts_that_are_none(parts, message):
    for error in together(lambda peers: peers.all_to_all(parts)):
        with pytest.raises(ValueError, match=message):
            raise error


def test_what_is_sent_is_counted_without_headers_and_without_the_own_part():
    def work(peers):
        counts = []
        for exchange in (
            lambda: peers.all_to_all([torch.ones(peers.rank, 2)] * 3),
            lambda: peers.all_gather_rows(torch.ones(4, dtype=torch.int64)),
            lambda: peers.logsumexp(torch.zeros(6, dtype=torch.float64)),
        ):
            before = peers.bytes_sent
            exchange()
            counts.append(peers.bytes_sent - before)
        return counts

    assert together(work) == [[2 * 8 * rank, 2 * 32, 2 * 16 + 2 * 16] for rank in range(3)]


@pytest.mark.parametrize("elements", [0, 1, 7])
def test_logarithms_are_added_element_by_element(elements):
    values = 30 * torch.randn(3, elements, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    values[:, :1] = NEGATIVE_INFINITY
    values[0, 1:3] = NEGATIVE_INFINITY
    for result in together(lambda peers: peers.logsumexp(values[peers.rank])):
        assert torch.equal(result, values.logsumexp(dim=0))
        assert not result.isnan().any()


def test_logarithms_that_do_not_fit_together():
    errors = together(lambda peers: peers.logsumexp(torch.zeros(5 + peers.rank // 2, dtype=torch.float64)))
    assert any(isinstance(error, ValueError) and "equally many elements" in str(error) for error in errors)
    assert all(isinstance(error, ValueError | PeerError) for error in errors)
    for error in together(lambda peers: peers.logsumexp(torch.zeros(5))):
        assert "float64 vector but got torch.float32" in str(error)


EXCHANGES = [
    lambda peers: peers.all_gather(peers.rank),
    lambda peers: peers.gather("x"),
    lambda peers: peers.broadcast([1]),
    lambda peers: peers.all_gather_rows(torch.ones(3, 3)),
    lambda peers: peers.all_to_all([torch.ones(2, 2)] * peers.world_size),
    lambda peers: peers.logsumexp(torch.zeros(4, dtype=torch.float64)),
]


@pytest.mark.usefixtures("chunk_bytes")
@pytest.mark.parametrize("failing", [{0}, {2}, {1, 2}], ids=str)
@pytest.mark.parametrize("point", range(len(EXCHANGES) + 1))
def test_a_failure_reaches_all_wherever_it_happens(failing, point):
    def run(wire):
        try:
            with Peers("counting sheep", wire) as peers:
                for place, exchange in enumerate(EXCHANGES):
                    if place == point and peers.rank in failing:
                        raise KeyError(f"point {point}, rank {peers.rank}")
                    exchange(peers)
                if point == len(EXCHANGES) and peers.rank in failing:
                    raise KeyError(f"point {point}, rank {peers.rank}")
        except (KeyError, PeerError) as error:
            first = error
        with Peers("counting goats", wire) as peers:
            return type(first), str(first), sum(peers.all_gather(1))

    for rank, (kind, message, processes) in enumerate(run_in_wired_threads(run, 3)):
        assert kind is (KeyError if rank in failing else PeerError)
        if rank not in failing:
            said = f"Rank {min(failing)} has failed in counting sheep: KeyError: 'point {point}, rank {min(failing)}'"
            assert message == said
        assert processes == 3


def test_a_failure_while_room_is_made_reaches_all(monkeypatch):
    monkeypatch.setattr(peers_module, "CHUNK_BYTES", 16)
    allocate, thread = torch.empty, threading.local()

    def empty(*size, **options):
        if getattr(thread, "full", False) and size == ((50, 2),):
            raise MemoryError("no room")
        return allocate(*size, **options)

    def work(peers):
        thread.full = peers.rank == 1
        return peers.all_to_all([torch.ones(50, 2)] * 3)

    monkeypatch.setattr(torch, "empty", empty)
    first, second, third = together(work)
    assert isinstance(second, MemoryError)
    assert str(first) == str(third) == "Rank 1 has failed in counting sheep: MemoryError: no room"


def test_a_value_that_cannot_be_pickled_fails_on_all():
    first, second = together(lambda peers: peers.all_gather(lambda: 0 if peers.rank else 1), world_size=2)
    assert "pickle" in str(first)
    assert "pickle" in str(second)


def test_a_long_error_without_a_text_is_told():
    class UnspeakableError(Exception):
        def __str__(self):
            raise RuntimeError

    def work(peers):
        if peers.rank == 1:
            raise UnspeakableError
        if peers.rank == 2:
            raise ValueError("é" * 10_000)
        peers.all_gather(0)

    first, second, _ = together(work)
    assert isinstance(second, UnspeakableError)
    assert "UnspeakableError" in str(first)
    assert together(lambda peers: work(peers) if peers.rank != 1 else peers.all_gather(0))[0].args[0].count("é") > 1000


def test_different_exchanges_are_an_error_on_all():
    def work(peers):
        if peers.rank != 1:
            peers.gather(0)

    for error in together(work):
        assert isinstance(error, PeerError)
        assert "`gather` on rank 0 and `leave` on rank 1" in str(error)


def test_nothing_is_exchanged_after_the_end():
    def run(wire):
        with Peers("counting sheep", wire) as peers:
            peers.all_gather(0)
        before = wire.swaps
        with pytest.raises(PeerError, match="no exchange in counting sheep after its end but got `all_gather`"):
            peers.all_gather(0)
        return wire.swaps - before

    assert run_in_wired_threads(run, 2) == [0, 0]


def test_an_inner_step_that_fails_ends_the_outer_one():
    def run(wire):
        with Peers("outer", wire) as outer:
            with Peers("inner", wire) as inner:
                if wire.rank == 0:
                    raise ValueError("too much")
                inner.all_gather(0)
            outer.all_gather(0)

    first, second, third = run_in_wired_threads(run, 3)
    assert isinstance(first, ValueError)
    assert str(second) == str(third) == "Rank 0 has failed in inner: ValueError: too much"


class Broken:
    """Reaches nobody."""

    rank, world_size = 1, 2

    def __init__(self):
        self.swaps = 0

    def swap(self, outgoing, lengths):
        self.swaps += 1
        raise ConnectionError("reset by peer")


def test_lost_processes_are_not_told_anything():
    wire = Broken()
    message = "Rank 1 no longer reaches the other processes in outer: reset by peer"
    with pytest.raises(PeersLostError, match=message), Peers("outer", wire) as peers:
        peers.all_gather(0)
    assert wire.swaps == 1
    with pytest.raises(PeersLostError), Peers("outer", wire), Peers("inner", wire) as peers:
        peers.all_gather(0)
    assert wire.swaps == 2


def test_an_error_is_its_own_even_if_nobody_can_be_told():
    with pytest.raises(KeyError), Peers("outer", Broken()):
        raise KeyError


def test_an_interrupt_is_not_told():
    wire = Broken()
    with pytest.raises(KeyboardInterrupt), Peers("work", wire):
        raise KeyboardInterrupt
    assert wire.swaps == 0
